// Any bytes as the JSON texts that come with a checkpoint or an archive: shard index, config.json, report. What is
// rewritten is read again.
//
// Input: u8 which, text.

#include <cstdlib>

#include "packer/quantize/forms/quantization_config.h"
#include "packer/report/report.h"
#include "packer/source/shard_index.h"

namespace entrofs::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void RunShardIndex(std::string_view text) {
  auto shards = packer::source::ShardsOf(text);
  packer::source::Renames renames;
  if (shards && !shards->empty()) renames[*shards->begin()]["a"] = {"a_packed", "a_scale"};
  auto rewritten = packer::source::RewriteShardIndex(text, renames, 12345);
  Require(rewritten.ok() == shards.ok());
  if (!rewritten) return;
  auto again = packer::source::ShardsOf(*rewritten);
  Require(again.ok() && again->size() <= shards->size());
}

void RunConfig(std::string_view text) {
  std::vector<packer::quantize::forms::TensorPlan> plans;
  packer::tree::OutputTensor weight;
  weight.name = "model.layers.0.mlp.down_proj.weight_packed";
  weight.belongs_to = "model.layers.0.mlp.down_proj.weight";
  plans.push_back({.outputs = {weight}, .form = packer::quantize::forms::Form{}});
  auto added = packer::quantize::forms::AddQuantizationConfig(text, plans);
  if (!added) return;
  Require(added->size() > text.size());
  // It has one now, so it is refused; and it is JSON still, so that is why.
  auto again = packer::quantize::forms::AddQuantizationConfig(*added, plans);
  Require(!again.ok() && again.error().message.find("quantized already") != std::string::npos);
}

void RunReport(std::string_view text) {
  auto report = packer::report::ParseReport(text);
  if (!report) return;
  for (const packer::report::TensorReport& tensor : report->tensors) Require(tensor.divisor() > 0);
  auto again = packer::report::ParseReport(packer::report::ToJson(*report));
  Require(again.ok() && again->tensors.size() == report->tensors.size());
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      entrofs::fuzz::RunShardIndex(text);
      break;
    case 1:
      entrofs::fuzz::RunConfig(text);
      break;
    default:
      entrofs::fuzz::RunReport(text);
  }
  return 0;
}
