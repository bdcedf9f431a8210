#include "packer/quantized_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::ReadFile;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

Result<OutputTree> Build(const std::string& source, quantize::Options options = {}) {
  ENTROFS_ASSIGN_OR_RETURN(Checkpoint checkpoint, OpenCheckpoint(source));
  ThreadPool pool(2);
  return QuantizedTree(checkpoint, options, pool);
}

std::string ContentOf(const OutputFile& file) {
  std::string content;
  for (const Piece& piece : file.pieces) {
    std::string part(BytesOf(piece).size(), '\0');
    Status status = BytesOf(piece).ReadAt(0, {reinterpret_cast<uint8_t*>(part.data()), part.size()});
    EXPECT_TRUE(status.ok());
    content += part;
  }
  return content;
}

const OutputFile& FileNamed(const OutputTree& tree, const std::string& path) {
  for (const OutputFile& file : tree.files) {
    if (file.path == path) return file;
  }
  throw std::runtime_error("no file " + path);
}

SafetensorsHeader HeaderOf(const OutputFile& file) {
  std::string content = ContentOf(file);
  Result<SafetensorsHeader> header = ReadSafetensorsHeader(*BytesInMemory({content.begin(), content.end()}));
  EXPECT_TRUE(header.ok()) << header.error().message;
  return *header;
}

TEST(QuantizedTree, WritesValidFilesWithPageAlignedData) {
  for (quantize::Scheme scheme : {quantize::Scheme::kUint8, quantize::Scheme::kUint4}) {
    TemporaryFolder folder;
    WriteLlama(folder.path(), Dtype::kBf16, false);
    quantize::Options options;
    options.scheme = scheme;
    Result<OutputTree> tree = Build(folder.path(), options);
    ASSERT_TRUE(tree.ok()) << tree.error().message;
    EXPECT_THAT(tree->warnings, IsEmpty());
    const OutputFile& model = FileNamed(*tree, "model.safetensors");
    SafetensorsHeader header = HeaderOf(model);
    EXPECT_EQ(header.data_start_bytes % 4096, 0u);
    EXPECT_EQ(header.metadata.at("format"), "pt");
    // The pieces behind the header are the tensors it lists, in order.
    ASSERT_EQ(model.pieces.size(), header.tensors.size() + 1);
    for (size_t i = 0; i < header.tensors.size(); ++i) {
      const OutputTensor& tensor = std::get<OutputTensor>(model.pieces[i + 1]);
      EXPECT_EQ(tensor.name, header.tensors[i].name);
      EXPECT_EQ(tensor.shape, header.tensors[i].shape);
      EXPECT_EQ(header.tensors[i].offset_bytes * 8 % BitWidth(tensor.dtype), 0u) << "misaligned " << tensor.name;
    }
    auto config = nlohmann::json::parse(ContentOf(FileNamed(*tree, "config.json")));
    EXPECT_EQ(config["quantization_config"]["quant_method"], "compressed-tensors");
    EXPECT_EQ(ContentOf(FileNamed(*tree, "tokenizer.json")), ReadFile(folder.Path("tokenizer.json")));
  }
}

TEST(QuantizedTree, KeepsScalesTogether) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), Dtype::kBf16, false);
  quantize::Options options;
  options.scheme = quantize::Scheme::kInt8Channel;
  Result<OutputTree> tree = Build(folder.path(), options);
  ASSERT_TRUE(tree.ok());
  size_t runs_of_scales = 0;
  bool before = false;
  for (const Piece& piece : FileNamed(*tree, "model.safetensors").pieces) {
    const auto* tensor = std::get_if<OutputTensor>(&piece);
    const bool scale = tensor != nullptr && tensor->weight_count == 0 && tensor->dtype == Dtype::kBf16;
    runs_of_scales += scale && !before;
    before = scale;
  }
  EXPECT_EQ(runs_of_scales, 1u);
}

TEST(QuantizedTree, RewritesTheShardIndex) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), Dtype::kF16, true);
  quantize::Options options;
  options.scheme = quantize::Scheme::kUint4;
  Result<OutputTree> tree = Build(folder.path(), options);
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  auto index = nlohmann::json::parse(ContentOf(FileNamed(*tree, "model.safetensors.index.json")));
  std::map<std::string, std::string> expected;
  uint64_t total = 0;
  for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    for (const TensorInfo& tensor : HeaderOf(FileNamed(*tree, shard)).tensors) {
      expected[tensor.name] = shard;
      total += tensor.size_bytes;
    }
  }
  EXPECT_EQ((index["weight_map"].get<std::map<std::string, std::string>>()), expected);
  EXPECT_EQ(index["metadata"]["total_size"], total);
  EXPECT_TRUE(expected.contains("model.layers.0.mlp.up_proj.weight_packed"));
}

TEST(QuantizedTree, KeepsFilesWithoutMatricesByteForByte) {
  TemporaryFolder folder;
  WriteFile(folder.Path("norms.safetensors"), SafetensorsFile({Weights("norm.weight", Dtype::kBf16, {64}, 1)}));
  WriteFile(folder.Path("config.json"), "{ }");
  Result<OutputTree> tree = Build(folder.path());
  ASSERT_TRUE(tree.ok());
  for (const OutputFile& file : tree->files) EXPECT_EQ(ContentOf(file), ReadFile(folder.Path(file.path)));
}

TEST(QuantizedTree, WarnsOfTensorsWithNanAndOfAMissingConfig) {
  TemporaryFolder folder;
  testing_support::SampleTensor bad = Weights("bad_proj.weight", Dtype::kF32, {64, 64}, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bad.bytes.data() + 400, &nan, 4);
  WriteFile(folder.Path("model.safetensors"),
            SafetensorsFile({bad, Weights("good_proj.weight", Dtype::kF32, {64, 64}, 2)}));
  Result<OutputTree> tree = Build(folder.path());
  ASSERT_TRUE(tree.ok());
  EXPECT_THAT(tree->warnings, ElementsAre(HasSubstr("bad_proj.weight: has NaN")));
  EXPECT_THAT(tree->loading_warnings, ElementsAre(HasSubstr("no config.json")));
  SafetensorsHeader header = HeaderOf(FileNamed(*tree, "model.safetensors"));
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.name == "bad_proj.weight") {
      EXPECT_EQ(tensor.dtype, Dtype::kF32);
    } else if (tensor.name == "good_proj.weight") {
      EXPECT_EQ(tensor.dtype, Dtype::kI8);
    }
  }
}

TEST(QuantizedTree, NamesTheFileThatIsAtFault) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), Dtype::kBf16, false);
  WriteFile(folder.Path("config.json"), "not JSON");
  EXPECT_THAT(Build(folder.path()).error().message, HasSubstr("config.json: not a JSON object"));
  WriteFile(folder.Path("config.json"), "{}");
  WriteFile(folder.Path("model.safetensors.index.json"), R"({"weight_map":{"a":"missing.safetensors"}})");
  EXPECT_THAT(Build(folder.path()).error().message, HasSubstr("names 'missing.safetensors', which is not there"));
}

}  // namespace
}  // namespace entrofs::packer
