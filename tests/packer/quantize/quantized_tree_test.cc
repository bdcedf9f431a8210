#include "packer/quantize/quantized_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::quantize {
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

Result<tree::OutputTree> Build(const std::string& source, Options options = {}) {
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::OpenCheckpoint(source));
  ThreadPool pool(2);
  return QuantizedTree(checkpoint, options, pool);
}

std::string ContentOf(const tree::OutputFile& file) {
  std::string content;
  for (const tree::FilePart& part : file.parts) {
    std::string bytes(tree::BytesOf(part).size(), '\0');
    Status status = tree::BytesOf(part).ReadAt(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    EXPECT_TRUE(status.ok());
    content += bytes;
  }
  return content;
}

const tree::OutputFile& FileNamed(const tree::OutputTree& tree, const std::string& path) {
  for (const tree::OutputFile& file : tree.files) {
    if (file.path == path) return file;
  }
  throw std::runtime_error("no file " + path);
}

source::SafetensorsHeader HeaderOf(const tree::OutputFile& file) {
  std::string content = ContentOf(file);
  Result<source::SafetensorsHeader> header =
      source::ReadSafetensorsHeader(*tree::BytesInMemory({content.begin(), content.end()}));
  EXPECT_TRUE(header.ok()) << header.error().message;
  return *header;
}

TEST(QuantizedTree, WritesValidFilesWithPageAlignedData) {
  for (Scheme scheme : {Scheme::kUint8, Scheme::kUint4}) {
    TemporaryFolder folder;
    WriteLlama(folder.path(), source::Dtype::kBf16, false);
    Options options;
    options.scheme = scheme;
    Result<tree::OutputTree> tree = Build(folder.path(), options);
    ASSERT_TRUE(tree.ok()) << tree.error().message;
    EXPECT_THAT(tree->warnings, IsEmpty());
    const tree::OutputFile& model = FileNamed(*tree, "model.safetensors");
    source::SafetensorsHeader header = HeaderOf(model);
    EXPECT_EQ(header.data_start_bytes % 4096, 0u);
    EXPECT_EQ(header.metadata.at("format"), "pt");
    // The pieces behind the header are the tensors it lists, in order.
    ASSERT_EQ(model.parts.size(), header.tensors.size() + 1);
    for (size_t i = 0; i < header.tensors.size(); ++i) {
      const tree::OutputTensor& tensor = std::get<tree::OutputTensor>(model.parts[i + 1]);
      EXPECT_EQ(tensor.name, header.tensors[i].name);
      EXPECT_EQ(tensor.shape, header.tensors[i].shape);
      EXPECT_EQ(header.tensors[i].offset_bytes * 8 % source::BitWidth(tensor.dtype), 0u)
          << "misaligned " << tensor.name;
    }
    auto config = nlohmann::json::parse(ContentOf(FileNamed(*tree, "config.json")));
    EXPECT_EQ(config["quantization_config"]["quant_method"], "compressed-tensors");
    EXPECT_EQ(ContentOf(FileNamed(*tree, "tokenizer.json")), ReadFile(folder.Path("tokenizer.json")));
  }
}

TEST(QuantizedTree, KeepsScalesTogether) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), source::Dtype::kBf16, false);
  Options options;
  options.scheme = Scheme::kInt8Channel;
  Result<tree::OutputTree> tree = Build(folder.path(), options);
  ASSERT_TRUE(tree.ok());
  size_t runs_of_scales = 0;
  bool before = false;
  for (const tree::FilePart& part : FileNamed(*tree, "model.safetensors").parts) {
    const auto* tensor = std::get_if<tree::OutputTensor>(&part);
    const bool scale = tensor != nullptr && tensor->weight_count == 0 && tensor->dtype == source::Dtype::kBf16;
    runs_of_scales += scale && !before;
    before = scale;
  }
  EXPECT_EQ(runs_of_scales, 1u);
}

TEST(QuantizedTree, RewritesTheShardIndex) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), source::Dtype::kF16, true);
  Options options;
  options.scheme = Scheme::kUint4;
  Result<tree::OutputTree> tree = Build(folder.path(), options);
  ASSERT_TRUE(tree.ok()) << tree.error().message;
  auto index = nlohmann::json::parse(ContentOf(FileNamed(*tree, "model.safetensors.index.json")));
  std::map<std::string, std::string> expected;
  uint64_t total = 0;
  for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    for (const source::TensorInfo& tensor : HeaderOf(FileNamed(*tree, shard)).tensors) {
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
  WriteFile(folder.Path("norms.safetensors"), SafetensorsFile({Weights("norm.weight", source::Dtype::kBf16, {64}, 1)}));
  WriteFile(folder.Path("config.json"), "{ }");
  Result<tree::OutputTree> tree = Build(folder.path());
  ASSERT_TRUE(tree.ok());
  for (const tree::OutputFile& file : tree->files) EXPECT_EQ(ContentOf(file), ReadFile(folder.Path(file.path)));
}

TEST(QuantizedTree, WarnsOfTensorsWithNanAndOfAMissingConfig) {
  TemporaryFolder folder;
  testing_support::SampleTensor bad = Weights("bad_proj.weight", source::Dtype::kF32, {64, 64}, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bad.bytes.data() + 400, &nan, 4);
  WriteFile(folder.Path("model.safetensors"),
            SafetensorsFile({bad, Weights("good_proj.weight", source::Dtype::kF32, {64, 64}, 2)}));
  Result<tree::OutputTree> tree = Build(folder.path());
  ASSERT_TRUE(tree.ok());
  EXPECT_THAT(tree->warnings, ElementsAre(HasSubstr("bad_proj.weight: has NaN")));
  EXPECT_THAT(tree->loading_warnings, ElementsAre(HasSubstr("no config.json")));
  source::SafetensorsHeader header = HeaderOf(FileNamed(*tree, "model.safetensors"));
  for (const source::TensorInfo& tensor : header.tensors) {
    if (tensor.name == "bad_proj.weight") {
      EXPECT_EQ(tensor.dtype, source::Dtype::kF32);
    } else if (tensor.name == "good_proj.weight") {
      EXPECT_EQ(tensor.dtype, source::Dtype::kI8);
    }
  }
}

TEST(QuantizedTree, NamesTheFileThatIsAtFault) {
  TemporaryFolder folder;
  WriteLlama(folder.path(), source::Dtype::kBf16, false);
  WriteFile(folder.Path("config.json"), "not JSON");
  EXPECT_THAT(Build(folder.path()).error().message, HasSubstr("config.json: not a JSON object"));
  WriteFile(folder.Path("config.json"), "{}");
  WriteFile(folder.Path("model.safetensors.index.json"), R"({"weight_map":{"a":"missing.safetensors"}})");
  EXPECT_THAT(Build(folder.path()).error().message, HasSubstr("names 'missing.safetensors', which is not there"));
}

}  // namespace
}  // namespace entrofs::packer::quantize
