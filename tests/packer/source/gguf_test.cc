#include "packer/source/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "packer/pack/pack.h"
#include "packer/quantize/quantized_tree.h"
#include "packer/read/extract.h"
#include "packer/read/verify.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::source {
namespace {

using testing::HasSubstr;
using testing_support::TemporaryFolder;

// Writes a GGUF file the way its specification says, sharing nothing with the parser.
class Writer {
 public:
  explicit Writer(uint32_t version = 3) : version_(version) {}

  struct Tensor {
    std::string name;
    uint32_t type;
    std::vector<uint64_t> dimensions;  // fastest first
    std::string bytes;
    std::optional<uint64_t> offset = std::nullopt;
  };

  template <typename T>
  static std::string Number(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static std::string Text(const std::string& text) { return Number<uint64_t>(text.size()) + text; }

  Writer& Key(const std::string& name, uint32_t type, const std::string& value) {
    keys_ += Text(name) + Number(type) + value;
    ++key_count_;
    return *this;
  }
  Writer& Add(Tensor tensor) {
    tensors_.push_back(std::move(tensor));
    return *this;
  }
  Writer& Align(uint32_t alignment) {
    alignment_ = alignment;
    return Key("general.alignment", 4, Number(alignment));
  }

  std::string Header() const {
    std::string header = "GGUF" + Number(version_) + Number<uint64_t>(tensors_.size()) + Number(key_count_) + keys_;
    uint64_t offset = 0;
    for (const Tensor& tensor : tensors_) {
      header += Text(tensor.name) + Number<uint32_t>(static_cast<uint32_t>(tensor.dimensions.size()));
      for (uint64_t dimension : tensor.dimensions) header += Number(dimension);
      header += Number(tensor.type) + Number(tensor.offset.value_or(offset));
      offset = Padded(offset + tensor.bytes.size());
    }
    return header;
  }
  std::string File() const {
    std::string file = Header();
    file.resize(Padded(file.size()), '\0');
    for (const Tensor& tensor : tensors_) {
      file += tensor.bytes;
      file.resize(Padded(file.size()), '\0');
    }
    return file;
  }

 private:
  uint64_t Padded(uint64_t size) const { return (size + alignment_ - 1) / alignment_ * alignment_; }

  uint32_t version_;
  uint32_t alignment_ = 32;
  std::string keys_;
  uint64_t key_count_ = 0;
  std::vector<Tensor> tensors_;
};

template <typename T>
std::string Number(T value) {
  return Writer::Number(value);
}

// Every kind of value, arrays of arrays too.
Writer AllKinds(uint32_t version) {
  Writer writer(version);
  writer.Key("u8", 0, "a").Key("i8", 1, "a").Key("u16", 2, "ab").Key("i16", 3, "ab").Key("u32", 4, "abcd");
  writer.Key("i32", 5, "abcd").Key("f32", 6, "abcd").Key("bool", 7, "\1").Key("text", 8, Writer::Text("hello"));
  writer.Key("u64", 10, "abcdefgh").Key("i64", 11, "abcdefgh").Key("f64", 12, "abcdefgh");
  writer.Key("words", 9, Number<uint32_t>(8) + Number<uint64_t>(2) + Writer::Text("one") + Writer::Text(""));
  const std::string inner = Number<uint32_t>(2) + Number<uint64_t>(3) + "ababab";
  writer.Key("nested", 9, Number<uint32_t>(9) + Number<uint64_t>(2) + inner + inner);
  writer.Key("empty", 9, Number<uint32_t>(9) + Number<uint64_t>(0));
  writer.Align(64);
  writer.Add({"norm", 0, {7}, std::string(28, 'n')});
  writer.Add({"weight", 8, {64, 3}, std::string(3 * 2 * 34, 'w')});
  writer.Add({"half", 1, {4, 2}, std::string(16, 'h')});
  writer.Add({"strange", 99, {5}, std::string(100, 's')});
  writer.Add({"scalar", 30, {}, "sc"});
  return writer;
}

Result<GgufHeader> Parse(const std::string& file) { return ParseGguf(AsBytes(file), file.size()); }

void ExpectRefused(const std::string& file, const std::string& why) {
  Result<GgufHeader> header = Parse(file);
  ASSERT_FALSE(header.ok()) << why;
  EXPECT_THAT(header.error().message, HasSubstr(why));
  EXPECT_EQ(header.error().message.find('\n'), std::string::npos);
}

TEST(Gguf, FindsTensorsBehindEveryKindOfMetadata) {
  for (uint32_t version : {2u, 3u}) {
    const std::string file = AllKinds(version).File();
    Result<GgufHeader> header = Parse(file);
    ASSERT_TRUE(header.ok()) << header.error().message;
    ASSERT_EQ(header->tensors.size(), 5u);
    EXPECT_EQ(header->data_start_bytes % 64, 0u);
    for (const GgufTensor& tensor : header->tensors) {
      // Each was filled with the first letter of its name.
      const std::string bytes = file.substr(tensor.offset_bytes, std::min<uint64_t>(tensor.size_bytes, 2));
      EXPECT_EQ(bytes[0], tensor.name[0]);
    }
    EXPECT_EQ(header->tensors[1].type->name, "Q8_0");
    EXPECT_EQ(header->tensors[1].size_bytes, 3 * 2 * 34u);
    EXPECT_EQ(header->tensors[1].shape, (std::vector<uint64_t>{3, 64}));
    EXPECT_EQ(header->tensors[2].type->dtype, Dtype::kF16);
    EXPECT_EQ(header->tensors[3].type, nullptr);
    EXPECT_EQ(header->tensors[3].size_bytes, 128u);  // up to the next one
    EXPECT_EQ(header->tensors[4].size_bytes, 2u);
  }
}

TEST(Gguf, MayHoldNoTensors) {
  EXPECT_TRUE(Parse(Writer().Header()).ok());
  EXPECT_TRUE(Parse(Writer().Key("vocabulary", 8, Writer::Text("only")).Header()).ok());
}

TEST(Gguf, RefusesEveryTruncation) {
  const std::string header = AllKinds(3).Header();
  for (size_t size = 0; size < header.size(); ++size) {
    const std::string cut = header.substr(0, size);
    // In an allocation of its own, so that reads past the end show.
    const std::vector<uint8_t> bytes(cut.begin(), cut.end());
    bool is_cut_short = false;
    EXPECT_FALSE(ParseGguf(bytes, 1 << 20, &is_cut_short).ok()) << size;
    EXPECT_TRUE(is_cut_short) << size;
  }
  const std::string file = AllKinds(3).File();
  ExpectRefused(file.substr(0, file.size() - 64), "'scalar'");
}

TEST(Gguf, RefusesOtherVersions) {
  ExpectRefused("GGML" + std::string(100, '\0'), "not a GGUF file");
  ExpectRefused(Writer(1).File(), "version 1");
  ExpectRefused(Writer(4).File(), "version 4");
  ExpectRefused(Writer(0x03000000).File(), "big-endian");
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  const std::string many = Number<uint64_t>(uint64_t{1} << 60);
  ExpectRefused("GGUF" + Number<uint32_t>(3) + many + Number<uint64_t>(0), "tensors are more");
  ExpectRefused("GGUF" + Number<uint32_t>(3) + Number<uint64_t>(0) + many, "keys are more");
  ExpectRefused(Writer().Key("k", 8, many + "text").File(), "ends in the middle");
  ExpectRefused(Writer().Key("k", 9, Number<uint32_t>(4) + many).File(), "key 'k': an array longer");
  ExpectRefused(Writer().Key("k", 9, Number<uint32_t>(10) + Number<uint64_t>(~uint64_t{0} / 8 + 2)).File(), "longer");
  ExpectRefused(Writer().Key("k", 9, Number<uint32_t>(8) + many).File(), "ends in the middle");
}

TEST(Gguf, RefusesBrokenMetadata) {
  ExpectRefused(Writer().Key("k", 13, "abcd").File(), "key 'k': a value of unknown type 13");
  ExpectRefused(Writer().Key("k", 9, Number<uint32_t>(77) + Number<uint64_t>(1)).File(), "unknown type 77");
  ExpectRefused(Writer().Key("general.alignment", 8, Writer::Text("x")).File(), "general.alignment");
  ExpectRefused(Writer().Key("general.alignment", 4, Number<uint32_t>(12)).File(), "alignment of 12");
  ExpectRefused(Writer().Key("general.alignment", 4, Number<uint32_t>(0)).File(), "alignment of 0");
  std::string deep = Number<uint32_t>(0) + Number<uint64_t>(0);
  for (int i = 0; i < 1000; ++i) deep = Number<uint32_t>(9) + Number<uint64_t>(1) + deep;
  ExpectRefused(Writer().Key("k", 9, deep).File(), "nested too deep");
}

TEST(Gguf, RefusesBrokenTensors) {
  auto with = [](Writer::Tensor tensor) { return Writer().Add(std::move(tensor)).File(); };
  ExpectRefused(with({"t", 0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "abcd"}), "tensor 't': 9 dimensions");
  ExpectRefused(with({"t", 0, {uint64_t{1} << 32, uint64_t{1} << 32}, "abcd"}), "overflows");
  ExpectRefused(with({"t", 0, {uint64_t{1} << 62}, "abcd"}), "too large");
  ExpectRefused(with({"t", 8, {33}, std::string(34, 'x')}), "not whole blocks of Q8_0");
  ExpectRefused(with({"t", 0, {100}, "abcd"}), "ends behind the end");
  ExpectRefused(with({"t", 0, {1}, "abcd", 16}), "not a multiple of 32");
  ExpectRefused(with({"t", 0, {1}, "abcd", 1 << 20}), "begins behind the end");
  Writer twice, overlap;
  twice.Add({"t", 0, {1}, "abcd"}).Add({"t", 0, {1}, "abcd"});
  ExpectRefused(twice.File(), "there twice");
  overlap.Add({"a", 0, {16}, std::string(64, 'a')}).Add({"b", 0, {1}, "bbbb", 32});
  ExpectRefused(overlap.File(), "tensor 'a': overlaps");
}

TEST(GgmlTypes, AreAsLongAsTheyShouldBe) {
  // Bits per weight as ggml's tables give them.
  const std::map<std::string_view, double> bits = {
      {"Q4_0", 4.5},     {"Q4_1", 5},      {"Q5_0", 5.5},       {"Q5_1", 6},        {"Q8_0", 8.5},
      {"Q2_K", 2.625},   {"Q3_K", 3.4375}, {"Q4_K", 4.5},       {"Q5_K", 5.5},      {"Q6_K", 6.5625},
      {"IQ4_NL", 4.5},   {"IQ4_XS", 4.25}, {"IQ2_XXS", 2.0625}, {"IQ2_XS", 2.3125}, {"IQ3_XXS", 3.0625},
      {"IQ1_S", 1.5625}, {"IQ1_M", 1.75},  {"IQ3_S", 3.4375},   {"IQ2_S", 2.5625},  {"TQ1_0", 1.6875},
      {"TQ2_0", 2.0625}, {"MXFP4", 4.25}};
  size_t found = 0;
  for (uint32_t number = 0; number < 100; ++number) {
    const GgmlType* type = FindGgmlType(number);
    if (type == nullptr) continue;
    EXPECT_TRUE(codec::ValidateLayout({.block = type->block}).ok()) << type->name;
    auto expected = bits.find(type->name);
    if (expected == bits.end()) continue;
    ++found;
    const double actual = 8.0 * static_cast<double>(type->block_bytes()) / static_cast<double>(type->weights_per_block);
    EXPECT_EQ(actual, expected->second) << type->name;
  }
  EXPECT_EQ(found, bits.size());
}

// Q8_0 as ggml quantizes: a half float of the largest magnitude / 127, then 32 codes. The half is made by hand.
std::string Q8Blocks(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(0, 0.02);
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    double weights[32], largest = 0;
    for (double& weight : weights) largest = std::max(largest, std::abs(weight = normal(random)));
    int exponent;
    const double fraction = std::frexp(largest / 127, &exponent);  // 0.5 .. 1: a subnormal half
    const auto half = static_cast<uint16_t>(std::lround(std::ldexp(fraction, exponent + 24)));
    bytes += Number(half);
    for (double weight : weights) bytes += static_cast<char>(std::lround(weight / largest * 127));
  }
  return bytes;
}

Result<pack::PackResult> PackFolder(const std::string& source, const std::string& archive, tree::OutputTree& tree) {
  ENTROFS_ASSIGN_OR_RETURN(Checkpoint checkpoint, OpenCheckpoint(source));
  tree = tree::LosslessTree(checkpoint);
  ThreadPool pool(2);
  read::NoProgress progress;
  return pack::Pack(tree, archive, {}, pool, progress);
}

TEST(GgufFile, IsPackedByTensorsAndComesBack) {
  TemporaryFolder folder;
  const std::string source = folder.Path("source");
  std::filesystem::create_directories(source);
  Writer writer = AllKinds(3);
  writer.Add({"large", 8, {1024, 512}, Q8Blocks(16384)});
  testing_support::WriteFile(source + "/model.gguf", writer.File() + "something behind");
  tree::OutputTree tree;
  Result<pack::PackResult> result = PackFolder(source, folder.Path("a.entro"), tree);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(tree.warnings.empty());

  auto reader = read::OpenArchive(folder.Path("a.entro"));
  ASSERT_TRUE(reader.ok());
  ThreadPool pool(2);
  read::NoProgress progress;
  ASSERT_TRUE(read::Extract(**view::ViewReader::Open(**reader, ""), folder.Path("target"), pool, progress).ok());
  EXPECT_EQ(testing_support::Difference(source, folder.Path("target")), "");

  const report::TensorReport& large = result->report.tensors.back();
  EXPECT_EQ(large.name, "large");
  EXPECT_EQ(large.type_name(), "Q8_0");
  EXPECT_EQ(large.weight_count, 1024u * 512);
  // Plain it takes 8.5 bits a weight.
  EXPECT_LT(large.bits_per_weight(), 8.15);
  bool has_blocks = false;
  for (const archive::VirtualFile& file : (*reader)->index().files) {
    for (const archive::Extent& extent : file.extents) has_blocks |= !extent.layout.block.empty();
  }
  EXPECT_TRUE(has_blocks);

  Result<report::Report> again = report::ParseReport(*(*reader)->ReadReport());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->tensors.back().type_name(), "Q8_0");
  EXPECT_EQ(again->tensors.back().plain_bytes, 16384u * 34);
}

TEST(GgufFile, OfAnotherVersionIsAFileLikeAnyOther) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder.Path("source"));
  testing_support::WriteFile(folder.Path("source/later.gguf"), Writer(4).File());
  tree::OutputTree tree;
  ASSERT_TRUE(PackFolder(folder.Path("source"), folder.Path("a.entro"), tree).ok());
  ASSERT_EQ(tree.warnings.size(), 1u);
  EXPECT_THAT(tree.warnings[0], HasSubstr("later.gguf: GGUF of version 4, not 2 or 3; packed like any other file"));
  // And alone. One that is broken is not.
  EXPECT_TRUE(PackFolder(folder.Path("source/later.gguf"), folder.Path("b.entro"), tree).ok());
  testing_support::WriteFile(folder.Path("source/broken.gguf"), "no magic");
  Result<pack::PackResult> alone = PackFolder(folder.Path("source/broken.gguf"), folder.Path("c.entro"), tree);
  ASSERT_FALSE(alone.ok());
  EXPECT_THAT(alone.error().message, HasSubstr("broken.gguf: not a GGUF file"));
  EXPECT_FALSE(std::filesystem::exists(folder.Path("c.entro")));
}

TEST(GgufFile, IsNotQuantized) {
  TemporaryFolder folder;
  testing_support::WriteFile(folder.Path("model.gguf"), Writer().Add({"t", 0, {4, 4}, std::string(64, 'x')}).File());
  Result<Checkpoint> checkpoint = OpenCheckpoint(folder.Path("model.gguf"));
  ASSERT_TRUE(checkpoint.ok());
  ThreadPool pool(1);
  Result<tree::OutputTree> tree = quantize::QuantizedTree(*checkpoint, {}, pool);
  ASSERT_FALSE(tree.ok());
  EXPECT_THAT(tree.error().message, HasSubstr("without loss only"));
}

}  // namespace
}  // namespace entrofs::packer::source
