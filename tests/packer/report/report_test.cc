#include "packer/report/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "packer/report/quantization_summary.h"
#include "packer/report/summary.h"

namespace entrofs::packer::report {
namespace {

Report Sample() {
  Report report;
  report.quant = "uint8";
  report.segment_bytes = 262144;
  report.other_plain_bytes = 100;
  report.other_archive_bytes = 50;
  TensorReport weights;
  weights.name = "w.weight";
  weights.file = "m.safetensors";
  weights.dtype = source::Dtype::kI8;
  weights.shape = {100, 80};
  weights.codec = "tans";
  weights.plain_bytes = 8000;
  weights.archive_bytes = 5000;
  weights.entropy_bits = 39000;
  weights.weight_count = 8000;
  weights.belongs_to = "w.weight";
  weights.scheme = "uint8";
  weights.error = tree::QuantizationError{1000, 1};
  TensorReport scale = weights;
  scale.name = "w.weight_scale";
  scale.dtype = source::Dtype::kBf16;
  scale.shape = {1};
  scale.plain_bytes = 2;
  scale.archive_bytes = 10;
  scale.entropy_bits = 16;
  scale.weight_count = 0;
  scale.error.reset();
  TensorReport scalar = scale;
  scalar.name = "scalar \"\n";
  scalar.file = "n.safetensors";
  scalar.shape = {};
  scalar.weight_count = 1;
  scalar.belongs_to = scalar.name;
  scalar.scheme.clear();
  report.tensors = {weights, scale, scalar};
  return report;
}

TEST(Report, IsReadBackFromItsJson) {
  Result<Report> read = ParseReport(ToJson(Sample()));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(ToJson(*read), ToJson(Sample()));
  ASSERT_EQ(read->tensors.size(), 3u);
  EXPECT_EQ(read->tensors[0].file, "m.safetensors");
  EXPECT_EQ(read->tensors[0].plain_bytes, 8000u);
  EXPECT_EQ(read->tensors[0].error->noise_energy, 1);
  EXPECT_EQ(read->tensors[1].belongs_to, "w.weight");
  EXPECT_EQ(read->tensors[1].weight_count, 0u);
  EXPECT_EQ(read->tensors[2].name, "scalar \"\n");
  EXPECT_EQ(read->tensors[2].plain_bytes, 2u);
}

TEST(Report, RefusesWhatIsNotOne) {
  const std::string json = ToJson(Sample());
  for (size_t length = 0; length < json.size(); ++length) EXPECT_FALSE(ParseReport(json.substr(0, length)).ok());
  EXPECT_FALSE(ParseReport("{}").ok());
  EXPECT_FALSE(ParseReport("[1]").ok());
  EXPECT_FALSE(ParseReport(R"({"quant":1})").ok());
  EXPECT_FALSE(ParseReport(std::string(1 << 20, '[')).ok());
}

TEST(Report, RefusesSizesThatAreNotWholeNumbers) {
  const std::string json = ToJson(Sample());
  const size_t at = json.find(':', json.find("segment_bytes")) + 1;
  const size_t end = json.find(',', at);
  for (const char* number : {"9e99", "-1", "1.5", "18446744073709551616", "\"5\""}) {
    EXPECT_FALSE(ParseReport(json.substr(0, at) + number + json.substr(end)).ok()) << number;
  }
  EXPECT_TRUE(ParseReport(json.substr(0, at) + "5" + json.substr(end)).ok());
}

TEST(TensorReport, CountsBitsPerWeight) {
  EXPECT_DOUBLE_EQ(Sample().tensors[0].bits_per_weight(), 5.0);
  EXPECT_DOUBLE_EQ(Sample().tensors[0].entropy_bits_per_weight(), 4.875);
  EXPECT_DOUBLE_EQ(Sample().tensors[1].bits_per_weight(), 80.0);
}

TEST(InspectJson, HasTheKeysThatAreDocumented) {
  auto json = nlohmann::json::parse(InspectJson(Sample(), 9000, 5100));
  EXPECT_EQ(json.size(), 4u);
  EXPECT_EQ(json["virtual_bytes"], 9000);
  EXPECT_EQ(json["archive_bytes"], 5100);
  ASSERT_EQ(json["tensors"].size(), 3u);
  const auto& tensor = json["tensors"][0];
  for (const char* key : {"name", "file", "dtype", "shape", "codec", "plain_bytes", "archive_bytes", "bits_per_weight",
                          "entropy_bits", "sqnr_db"}) {
    EXPECT_TRUE(tensor.contains(key)) << key;
  }
  EXPECT_EQ(tensor.size(), 10u);
  EXPECT_DOUBLE_EQ(tensor["sqnr_db"], 30.0);
  EXPECT_FALSE(json["tensors"][1].contains("sqnr_db"));
  EXPECT_EQ(json["quantized"]["tensors"], 1);
  EXPECT_EQ(json["quantized"]["worst_tensor"], "w.weight");
}

TEST(SummarizeQuantization, CountsScalesWithTheWeightsTheyBelongTo) {
  std::optional<QuantizationSummary> summary = SummarizeQuantization(Sample());
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->tensor_count, 1u);
  EXPECT_EQ(summary->weight_count, 8000u);
  EXPECT_EQ(summary->archive_bytes, 5010u);
  EXPECT_DOUBLE_EQ(summary->bits_per_weight(), 5.01);
  EXPECT_DOUBLE_EQ(summary->entropy_bits_per_weight(), 39016.0 / 8000);
  EXPECT_DOUBLE_EQ(summary->worst_sqnr_db, 30.0);
}

TEST(SummarizeQuantization, KeepsTensorsOfOneNameInTwoFilesApart) {
  Report report = Sample();
  TensorReport other = report.tensors[0];
  other.file = "n.safetensors";
  other.error->noise_energy = 10;
  report.tensors.push_back(other);
  std::optional<QuantizationSummary> summary = SummarizeQuantization(report);
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->tensor_count, 2u);
  EXPECT_EQ(summary->archive_bytes, 10010u);
  EXPECT_DOUBLE_EQ(summary->worst_sqnr_db, 20.0);
}

TEST(SummarizeQuantization, FindsNothingWhereNothingWasQuantized) {
  Report report = Sample();
  for (TensorReport& tensor : report.tensors) tensor.error.reset();
  EXPECT_FALSE(SummarizeQuantization(report).has_value());
}

TEST(PrintSummary, HasARowPerDtypeATotalAndTheCostOfQuantization) {
  std::ostringstream out;
  PrintSummary(Sample(), 5100, out);
  const std::string text = out.str();
  for (const char* part : {"I8", "BF16", "total", "5.000", "4.875", "+2.6 %", "quantized: 1 tensors by uint8",
                           "SQNR 30.00 dB in total, worst 30.00 dB (w.weight)"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(PrintTensors, StaysOneLinePerTensorWhateverTheNames) {
  std::ostringstream out;
  PrintTensors(Sample(), out);
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 2 + 3);
}

}  // namespace
}  // namespace entrofs::packer::report
