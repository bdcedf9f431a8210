#include "packer/source/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "packer/tree/output_tensor.h"

namespace entrofs::packer::source {
namespace {

using testing::HasSubstr;

Result<SafetensorsHeader> Parse(const std::string& json, uint64_t data_bytes) {
  return ParseSafetensorsHeader(json, 8 + json.size() + data_bytes);
}

std::string OneTensor(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

// A header of one F32 tensor whose shape and end offset are given as JSON text.
std::string F32(const std::string& shape, const std::string& end) {
  return OneTensor("\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[0," + end + "]");
}

std::string Nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(SafetensorsHeader, ListsTensorsByOffsetWithPlacesInTheFile) {
  std::string json = R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"__metadata__":{"format":"pt"},)"
                     R"("a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})";
  Result<SafetensorsHeader> header = Parse(json, 16);
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->data_start_bytes, 8 + json.size());
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0], (TensorInfo{"a", Dtype::kI8, {4}, 8 + json.size(), 4}));
  EXPECT_EQ(header->tensors[1], (TensorInfo{"b", Dtype::kBf16, {2, 3}, 8 + json.size() + 4, 12}));
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

struct Header {
  const char* what;
  std::string json;
  uint64_t data_bytes;
};

class Accepted : public testing::TestWithParam<Header> {};
TEST_P(Accepted, AsTheReferenceReaderDoes) {
  Result<SafetensorsHeader> header = Parse(GetParam().json, GetParam().data_bytes);
  EXPECT_TRUE(header.ok()) << GetParam().what << ": " << header.error().message;
}
INSTANTIATE_TEST_SUITE_P(
    Safetensors, Accepted,
    testing::Values(
        Header{"no tensors", "{}", 0}, Header{"white space around", " \t\r\n{} \t\r\n", 0},
        Header{"scalar", F32("[]", "4"), 4}, Header{"zero-size", F32("[0,5]", "0"), 0},
        Header{"zero before a large dimension", F32("[0,18446744073709551615,18446744073709551615]", "0"), 0},
        Header{"empty name", R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1},
        Header{"odd name", R"({"a/../\u0000\n\ud83d\ude00é":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1},
        Header{"null metadata", R"({"__metadata__":null})", 0},
        Header{"metadata key twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0},
        Header{"unknown fields",
               OneTensor(R"("x":{"y":[null,true,-1,1.5,"s",[]]},"dtype":"U8","shape":[1],)"
                         R"("data_offsets":[0,1],"x":2)"),
               1},
        Header{"array form", R"({"t":["U8",[1],[0,1]]})", 1},
        Header{"dtype as an object", OneTensor(R"("dtype":{"U8":null},"shape":[1],"data_offsets":[0,1])"), 1},
        Header{"last of two tensors of one name",
               R"({"t":{"dtype":"U8","shape":[9],"data_offsets":[0,7]},"t":{"dtype":"U8","shape":[1],)"
               R"("data_offsets":[0,1]}})",
               1},
        Header{"two zero-size tensors in one place",
               R"({"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],)"
               R"("data_offsets":[0,0]},"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
               1},
        Header{"half-byte elements that fill bytes", OneTensor(R"("dtype":"F4","shape":[2,3],"data_offsets":[0,3])"),
               3},
        Header{"six-bit elements that fill bytes", OneTensor(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3])"),
               3},
        Header{"127 levels", OneTensor("\"x\":" + Nested(125) + R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1])"),
               1}));

struct BadHeader {
  std::string json;
  uint64_t data_bytes;
  const char* message;
};

class Refused : public testing::TestWithParam<BadHeader> {};
TEST_P(Refused, AsTheReferenceReaderDoes) {
  Result<SafetensorsHeader> header = Parse(GetParam().json, GetParam().data_bytes);
  ASSERT_FALSE(header.ok()) << GetParam().json;
  const bool is_later = header.error().message.find("unknown dtype") != std::string::npos;
  EXPECT_EQ(header.error().code, is_later ? ErrorCode::kUnsupported : ErrorCode::kCorrupt);
  EXPECT_THAT(header.error().message, HasSubstr(GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(
    NotJson, Refused,
    testing::Values(BadHeader{"", 0, "not JSON"}, BadHeader{"{", 0, "not JSON"}, BadHeader{"{}{}", 0, "not JSON"},
                    BadHeader{"{},", 0, "not JSON"}, BadHeader{std::string("{}\0", 3), 0, "not JSON at byte 10"},
                    BadHeader{"\xef\xbb\xbf{}", 0, "not JSON"}, BadHeader{"{\"a\xff\":1}", 0, "not UTF-8 at byte 11"},
                    BadHeader{R"({"__metadata__":{"\ud800":"x"}})", 0, "not JSON"},
                    BadHeader{"{\"__metadata__\":{\"a\":\"\n\"}}", 0, "not JSON"}, BadHeader{"{/**/}", 0, "not JSON"},
                    BadHeader{"[]", 0, "not a JSON object"}, BadHeader{"null", 0, "not a JSON object"},
                    BadHeader{"1", 0, "not a JSON object"}, BadHeader{OneTensor("\"x\":1e999"), 0, "not JSON"}));
INSTANTIATE_TEST_SUITE_P(
    WrongShape, Refused,
    testing::Values(
        BadHeader{R"({"__metadata__":1})", 0, "__metadata__"}, BadHeader{R"({"__metadata__":{"a":1}})", 0, "strings"},
        BadHeader{R"({"__metadata__":{},"__metadata__":{}})", 0, "twice"}, BadHeader{R"({"t":null})", 0, "tensor 't'"},
        BadHeader{R"({"t":{}})", 0, "tensor 't': has no 'dtype'"},
        BadHeader{OneTensor(R"("dtype":"U8","shape":[1])"), 1, "has no 'data_offsets'"},
        BadHeader{OneTensor(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])"), 1, "'dtype' twice"},
        BadHeader{OneTensor(R"("dtype":"u8","shape":[1],"data_offsets":[0,1])"), 1, "unknown dtype 'u8'"},
        BadHeader{OneTensor(R"("dtype":{},"shape":[1],"data_offsets":[0,1])"), 1, "dtype"},
        BadHeader{OneTensor(R"("dtype":{"U8":1},"shape":[1],"data_offsets":[0,1])"), 1, "dtype"},
        BadHeader{R"({"t":["U8",[1]]})", 1, "has no"}, BadHeader{R"({"t":["U8",[1],[0,1],0]})", 1, "tensor 't'"},
        BadHeader{OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0])"), 1, "data_offsets"},
        BadHeader{OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,2])"), 1, "tensor 't'"},
        BadHeader{F32("[1.0]", "4"), 4, "shape"}, BadHeader{F32("[-1]", "4"), 4, "shape"},
        BadHeader{F32("[-0]", "0"), 0, "shape"}, BadHeader{F32("[1e0]", "4"), 4, "shape"},
        BadHeader{F32("[18446744073709551616]", "0"), 0, "shape"}, BadHeader{F32("[\"1\"]", "4"), 4, "shape"},
        BadHeader{F32("[[1]]", "4"), 4, "shape"}, BadHeader{F32("{}", "4"), 4, "shape"},
        BadHeader{OneTensor("\"x\":" + Nested(126) + R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1])"), 1,
                  "nested too deeply"}));
INSTANTIATE_TEST_SUITE_P(
    WrongPlaces, Refused,
    testing::Values(BadHeader{F32("[1]", "4"), 3, "tensor 't': ends at byte 4"},
                    BadHeader{F32("[1]", "4"), 5, "1 bytes follow"}, BadHeader{"{}", 1, "1 bytes follow"},
                    BadHeader{F32("[2]", "4"), 4, "takes 8 bytes"},
                    BadHeader{F32("[9223372036854775808,4,0]", "0"), 0, "overflows"},
                    BadHeader{F32("[4611686018427387904]", "0"), 0, "overflows"},
                    BadHeader{OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])"), 1, "backwards"},
                    BadHeader{OneTensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])"), 2, "hole"},
                    BadHeader{R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],)"
                              R"("data_offsets":[1,3]}})",
                              3, "tensor 'b': data_offsets [1, 3] overlap"},
                    BadHeader{OneTensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), 2, "whole byte"},
                    BadHeader{OneTensor(R"("dtype":"F6_E3M2","shape":[2],"data_offsets":[0,2])"), 2, "whole byte"}));

std::shared_ptr<const RandomAccessFile> FileOf(uint64_t length_field, const std::string& rest) {
  ByteWriter writer;
  writer.WriteU64(length_field);
  writer.WriteBytes(AsBytes(rest));
  return tree::BytesInMemory(std::move(writer).Take());
}

TEST(ReadSafetensorsHeader, ChecksTheLengthFieldBeforeReading) {
  EXPECT_TRUE(ReadSafetensorsHeader(*FileOf(2, "{}")).ok());
  EXPECT_THAT(ReadSafetensorsHeader(*tree::BytesInMemory({1, 0, 0})).error().message,
              HasSubstr("shorter than the 8 bytes"));
  EXPECT_THAT(ReadSafetensorsHeader(*FileOf(3, "{}")).error().message, HasSubstr("longer than the file"));
  EXPECT_THAT(ReadSafetensorsHeader(*FileOf(100'000'001, "{}")).error().message, HasSubstr("limit of 100 MB"));
  EXPECT_THAT(ReadSafetensorsHeader(*FileOf(~uint64_t{0}, "{}")).error().message, HasSubstr("limit of 100 MB"));
}

TEST(ReadSafetensorsHeader, RefusesEveryTruncation) {
  std::string json = F32("[3]", "12");
  std::string file = std::string(8, '\0') + json + std::string(12, 'x');
  StoreLe<uint64_t>(file.data(), json.size());
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_FALSE(ReadSafetensorsHeader(*tree::BytesInMemory({file.begin(), file.begin() + length})).ok()) << length;
  }
}

TEST(EncodeSafetensorsHeader, IsReadBackAndEndsOnAPage) {
  std::vector<TensorInfo> tensors = {{"w\"\n", Dtype::kBf16, {2, 3}, 0, 12}, {"s", Dtype::kF32, {}, 0, 4}};
  SafetensorsMetadata metadata = {{"format", "pt"}, {"quote", "\"\\\x01"}};
  Result<std::string> text = EncodeSafetensorsHeader(tensors, metadata);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->size(), kSafetensorsDataAlignment);
  Result<SafetensorsHeader> header =
      ReadSafetensorsHeader(*FileOf(LoadLe<uint64_t>(text->data()), text->substr(8) + std::string(16, 'x')));
  ASSERT_TRUE(header.ok()) << header.error().message;
  tensors[0].offset_bytes = 4096;
  tensors[1].offset_bytes = 4108;
  EXPECT_EQ(header->tensors, tensors);
  EXPECT_EQ(header->metadata, metadata);
}

TEST(EncodeSafetensorsHeader, OfNothingIsAnEmptyObject) {
  Result<std::string> text = EncodeSafetensorsHeader({}, {});
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(ReadSafetensorsHeader(*tree::BytesInMemory({text->begin(), text->end()})).ok());
}

TEST(Dtype, NamesAreReadBack) {
  for (size_t i = 0; i < kDtypeCount; ++i) {
    Dtype dtype = static_cast<Dtype>(i);
    EXPECT_EQ(ParseDtype(Name(dtype)), dtype);
    EXPECT_GE(BitWidth(dtype), 4u);
  }
  EXPECT_FALSE(ParseDtype("F33").has_value());
}

}  // namespace
}  // namespace entrofs::packer::source
