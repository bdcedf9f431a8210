// The view that shows a quantized checkpoint as its own files, from packing to reading it back.

#include "packer/quantize/source_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "packer/pack/pack.h"
#include "packer/quantize/planner.h"
#include "packer/quantize/quantized_tree.h"
#include "packer/quantize/selection/eligibility.h"
#include "packer/read/verify.h"
#include "packer/source/safetensors.h"
#include "tests/packer/quantize/reference.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "view/view_reader.h"

namespace entrofs::packer::quantize {
namespace {

using testing_support::MemoryFile;
using testing_support::ReadFile;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

// The files of a view, by path.
using Files = std::map<std::string, std::string>;

class SourceViewTest : public testing::Test {
 protected:
  void Pack(const Options& options) {
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    Result<tree::OutputTree> tree = QuantizedTree(*checkpoint, options, pool_);
    ASSERT_TRUE(tree.ok()) << tree.error().message;
    read::NoProgress progress;
    pack::PackOptions pack_options;
    Result<pack::PackResult> packed = pack::Pack(*tree, archive_, pack_options, pool_, progress);
    ASSERT_TRUE(packed.ok()) << packed.error().message;
    Result<std::unique_ptr<archive::ArchiveReader>> reader = read::OpenArchive(archive_);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    reader_ = std::move(*reader);
  }

  std::vector<std::string> Views() const { return view::ViewNames(reader_->index()); }

  Files Show(const std::string& name) const {
    Result<std::unique_ptr<view::ViewReader>> view = view::ViewReader::Open(*reader_, name);
    EXPECT_TRUE(view.ok()) << view.error().message;
    Files files;
    view::ViewReader::Scratch scratch;
    for (const view::File& file : (*view)->files()) {
      std::string& content = files[file.path];
      content.resize(file.size_bytes);
      const Status status =
          (*view)->ReadRange(file, 0, scratch, {reinterpret_cast<uint8_t*>(content.data()), content.size()});
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return files;
  }

  TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string archive_ = folder_.Path("a.entro");
  ThreadPool pool_{2};
  std::unique_ptr<archive::ArchiveReader> reader_;
};

std::vector<tree::OutputTensor> TensorsOf(const std::string& file) {
  auto bytes = std::make_shared<MemoryFile>(std::vector<uint8_t>(file.begin(), file.end()));
  Result<source::SafetensorsHeader> header = source::ReadSafetensorsHeader(*bytes);
  EXPECT_TRUE(header.ok());
  std::vector<tree::OutputTensor> tensors;
  for (const source::TensorInfo& info : header->tensors) {
    tree::OutputTensor& tensor = tensors.emplace_back();
    tensor.name = info.name;
    tensor.dtype = info.dtype;
    tensor.shape = info.shape;
    tensor.bytes = tree::SliceOf(bytes, info.offset_bytes, info.size_bytes);
  }
  return tensors;
}

struct Case {
  const char* name;
  Options options;
};

Options With(Scheme scheme, uint32_t group_size = 128, bool symmetric = false) {
  Options options;
  options.scheme = scheme;
  options.group_size = group_size;
  options.symmetric = symmetric;
  return options;
}

class EverySourceView : public SourceViewTest, public testing::WithParamInterface<Case> {};

TEST_P(EverySourceView, ShowsWhatAnIndependentReaderMakesOfTheCodes) {
  for (source::Dtype dtype : {source::Dtype::kBf16, source::Dtype::kF16, source::Dtype::kF32}) {
    std::filesystem::remove_all(source_);
    WriteLlama(source_, dtype, /*shards=*/true);
    Pack(GetParam().options);
    const Files shown = Show("source");
    // The plan again, for what the codes are; the reference reads them in long-hand.
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
    ASSERT_TRUE(checkpoint.ok());
    std::vector<tree::OutputTensor> inputs;
    for (const source::CheckpointFile& file : checkpoint->files) {
      if (!file.header) continue;
      for (const source::TensorInfo& info : file.header->tensors) inputs.push_back(tree::UnchangedTensor(file, info));
    }
    Result<Plan> plan = PlanQuantization(GetParam().options, inputs, pool_);
    ASSERT_TRUE(plan.ok());
    std::map<std::string, std::vector<double>> expected;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const forms::TensorPlan& tensor = plan->tensors[i];
      expected[inputs[i].name] =
          tensor.form ? reference::Dense(tensor.outputs, *tensor.form) : reference::Floats(inputs[i]);
    }
    size_t tensor_count = 0, quantized_count = 0;
    for (const auto& [path, content] : shown) {
      const std::string original = ReadFile(source_ + "/" + path);
      ASSERT_EQ(content.size(), original.size()) << path;
      if (!path.ends_with(".safetensors")) {
        EXPECT_EQ(content, original) << path;
        continue;
      }
      const std::vector<tree::OutputTensor> before = TensorsOf(original), after = TensorsOf(content);
      ASSERT_EQ(before.size(), after.size());
      for (size_t i = 0; i < after.size(); ++i, ++tensor_count) {
        EXPECT_EQ(after[i].name, before[i].name);
        EXPECT_EQ(after[i].dtype, before[i].dtype);
        EXPECT_EQ(after[i].shape, before[i].shape);
        const std::vector<double> values = reference::Floats(after[i]);
        EXPECT_EQ(values, expected.at(after[i].name)) << after[i].name;
        quantized_count += values != reference::Floats(before[i]) ? 1 : 0;
      }
    }
    EXPECT_EQ(tensor_count, inputs.size());
    EXPECT_GT(quantized_count, 7u);
  }
}

INSTANTIATE_TEST_SUITE_P(SourceView, EverySourceView,
                         testing::Values(Case{"uint8", With(Scheme::kUint8)}, Case{"uint4", With(Scheme::kUint4)},
                                         Case{"int8_tensor", With(Scheme::kInt8Tensor)},
                                         Case{"int8_channel", With(Scheme::kInt8Channel)},
                                         Case{"uint4_group", With(Scheme::kUint4Group, 32)},
                                         Case{"uint4_group_symmetric", With(Scheme::kUint4Group, 64, true)},
                                         Case{"rate", With(Scheme::kRate)}),
                         [](const testing::TestParamInfo<Case>& param) { return std::string(param.param.name); });

TEST_F(SourceViewTest, PackedFilesAndSourceAreTwoViewsOfOneArchive) {
  WriteLlama(source_, source::Dtype::kBf16, false);
  Pack(With(Scheme::kInt8Channel));
  EXPECT_EQ(Views(), (std::vector<std::string>{"compressed-tensors", "source"}));
  const Files packed = Show("compressed-tensors"), source = Show("source");
  EXPECT_NE(packed.at("config.json"), ReadFile(source_ + "/config.json"));
  EXPECT_EQ(source.at("config.json"), ReadFile(source_ + "/config.json"));
  EXPECT_LT(packed.at("model.safetensors").size(), source.at("model.safetensors").size());
  ThreadPool pool(2);
  read::NoProgress progress;
  EXPECT_TRUE(read::VerifyArchive(archive_, pool, progress).ok());
}

TEST_F(SourceViewTest, FormsThatNoViewCanReadHaveNoSource) {
  WriteLlama(source_, source::Dtype::kBf16, false);
  Options options = With(Scheme::kInt8Channel);
  options.runtime = Runtime::kGptq;
  Pack(options);
  EXPECT_TRUE(Views().empty());
}

TEST_F(SourceViewTest, WeightsOfAnyShapeComeBackWithinHalfAStep) {
  const std::vector<testing_support::SampleTensor> tensors = {
      Weights("experts.gate_up_proj", source::Dtype::kBf16, {4, 48, 64}, 1),
      Weights("conv.weight", source::Dtype::kF32, {32, 16, 3, 3}, 2),
      Weights("audio.conv1.weight", source::Dtype::kF16, {64, 40, 3}, 3),
      Weights("h.0.attn.c_attn.weight", source::Dtype::kBf16, {64, 192}, 4),
      Weights("lm_head.weight", source::Dtype::kBf16, {100, 64}, 5),
      Weights("norm.weight", source::Dtype::kF32, {64}, 6)};
  const std::string file = SafetensorsFile(tensors);
  WriteFile(source_ + "/model.safetensors", file);
  WriteFile(source_ + "/config.json", "{\"model_type\": \"nobody_knows\"}");
  Options options = With(Scheme::kInt8Channel);
  options.packed_view = false;
  Pack(options);
  EXPECT_EQ(Views(), (std::vector<std::string>{"source"}));
  const Files shown = Show("");
  const std::vector<tree::OutputTensor> before = TensorsOf(file), after = TensorsOf(shown.at("model.safetensors"));
  ASSERT_EQ(after.size(), tensors.size());
  for (size_t i = 0; i < after.size(); ++i) {
    const std::vector<double> was = reference::Floats(before[i]), is = reference::Floats(after[i]);
    const bool is_kept = after[i].name == "lm_head.weight" || after[i].name == "norm.weight";
    EXPECT_EQ(was == is, is_kept) << after[i].name;
    if (is_kept) continue;
    const uint64_t columns = selection::MatrixShapeOf(after[i].shape)->columns;
    for (size_t row = 0; row < was.size(); row += columns) {
      double largest = 0;
      for (size_t j = row; j < row + columns; ++j) largest = std::max(largest, std::abs(was[j]));
      // Half a step, and what rounding the scale and the value to the dtype may add.
      const double step = largest / 127 * (1 + 1.0 / 128), slack = largest / 256;
      for (size_t j = row; j < row + columns; ++j)
        ASSERT_LE(std::abs(is[j] - was[j]), step / 2 + slack) << after[i].name;
    }
  }
}

TEST_F(SourceViewTest, AnArchiveThatOnlyShowsSourceStoresNothingElse) {
  WriteLlama(source_, source::Dtype::kBf16, false);
  Options options = With(Scheme::kUint4Group, 32);
  Pack(options);
  const uint64_t with_packed = reader_->archive_bytes();
  options.packed_view = false;
  Pack(options);
  EXPECT_LT(reader_->archive_bytes(), with_packed);
  EXPECT_TRUE(reader_->index().files.empty());
}

TEST_F(SourceViewTest, WhatIsQuantizedAlreadyIsRefusedWhereverThatIsSaid) {
  auto fails_with = [&](const std::string& file, const std::string& text) {
    std::filesystem::remove_all(source_);
    WriteLlama(source_, source::Dtype::kBf16, false);
    WriteFile(source_ + "/" + file, text);
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
    EXPECT_TRUE(checkpoint.ok());
    for (bool packed : {true, false}) {
      Options options = With(Scheme::kUint8);
      options.packed_view = packed;
      const Result<tree::OutputTree> tree = QuantizedTree(*checkpoint, options, pool_);
      if (tree) return false;
      EXPECT_EQ(tree.error().code, ErrorCode::kUnsupported);
      EXPECT_THAT(tree.error().message, testing::HasSubstr("quantized already"));
    }
    return true;
  };
  EXPECT_TRUE(fails_with("config.json", R"({"quantization_config": {"bits": 4}})"));
  EXPECT_TRUE(fails_with("config.json", R"({"text_config": {"quantization_config": {"bits": 4}}, "x": Infinity})"));
  EXPECT_TRUE(fails_with("hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})"));
  EXPECT_TRUE(fails_with("quantize_config.json", R"({"bits": 4})"));
  EXPECT_FALSE(fails_with("config.json", R"({"quantization_config": null, "model_type": "llama"})"));
  EXPECT_FALSE(fails_with("config.json", R"({"quantization_config": {}})"));
  EXPECT_FALSE(fails_with("quantize_config.json", "{}"));
}

TEST_F(SourceViewTest, OneMatrixBeyondReasonDoesNotSpoilTheOthers) {
  std::vector<testing_support::SampleTensor> tensors;
  for (int i = 0; i < 6; ++i) {
    tensors.push_back(Weights("layers." + std::to_string(i) + ".up_proj.weight", source::Dtype::kBf16, {64, 128},
                              static_cast<uint32_t>(i)));
  }
  tensors[2].bytes[0] = static_cast<char>(0x61);  // the BF16 3e38
  tensors[2].bytes[1] = static_cast<char>(0x7f);
  WriteFile(source_ + "/model.safetensors", SafetensorsFile(tensors));
  Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
  ASSERT_TRUE(checkpoint.ok());
  Options options = With(Scheme::kRate);
  Result<tree::OutputTree> tree = QuantizedTree(*checkpoint, options, pool_);
  ASSERT_TRUE(tree.ok());
  EXPECT_THAT(tree->warnings, testing::Contains(testing::HasSubstr("layers.2.up_proj.weight: its values reach")));
  Pack(options);
  const std::vector<tree::OutputTensor> before = TensorsOf(SafetensorsFile(tensors)),
                                        after = TensorsOf(Show("source").at("model.safetensors"));
  for (size_t i = 0; i < after.size(); ++i) {
    const std::vector<double> was = reference::Floats(before[i]), is = reference::Floats(after[i]);
    if (i == 2) {
      EXPECT_EQ(was, is);
      continue;
    }
    double signal = 0, noise = 0;
    for (size_t j = 0; j < was.size(); ++j) {
      signal += was[j] * was[j];
      noise += (was[j] - is[j]) * (was[j] - is[j]);
    }
    EXPECT_GT(10 * std::log10(signal / noise), 15) << after[i].name;
  }
}

}  // namespace
}  // namespace entrofs::packer::quantize
