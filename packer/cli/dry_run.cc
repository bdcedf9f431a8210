#include "packer/cli/dry_run.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "archive/paths.h"
#include "packer/quantize/selection/eligibility.h"
#include "packer/report/text_table.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::cli {
namespace {

using quantize::selection::Decision;
using report::TextTable;

// Tensors with the paths of their files.
struct Listing {
  std::vector<std::string> files;
  std::vector<tree::OutputTensor> tensors;
};

Listing TensorsOf(const source::Checkpoint& checkpoint) {
  Listing listing;
  for (const source::CheckpointFile& file : checkpoint.files) {
    if (!file.header) continue;
    for (const source::TensorInfo& info : file.header->tensors) {
      listing.files.push_back(file.path);
      listing.tensors.push_back(tree::UnchangedTensor(file, info));
    }
  }
  return listing;
}

void PrintAsJson(const Listing& listing, const std::vector<Decision>& decisions, std::ostream& out) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (size_t i = 0; i < decisions.size(); ++i) {
    const tree::OutputTensor& tensor = listing.tensors[i];
    tensors.push_back({{"file", archive::Printable(listing.files[i])},
                       {"name", archive::Printable(tensor.name)},
                       {"dtype", source::Name(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"quantized", decisions[i].is_selected},
                       {"reason", decisions[i].reason}});
  }
  out << nlohmann::ordered_json({{"tensors", tensors}}).dump(2) << "\n";
}

void PrintAsTable(const Listing& listing, const std::vector<Decision>& decisions, std::ostream& out) {
  TextTable table({TextTable::Align::kLeft, TextTable::Align::kLeft, TextTable::Align::kLeft, TextTable::Align::kLeft,
                   TextTable::Align::kLeft});
  table.AddRow({"quantize", "because", "dtype", "shape", "tensor"});
  size_t count = 0;
  for (size_t i = 0; i < decisions.size(); ++i) {
    const tree::OutputTensor& tensor = listing.tensors[i];
    count += decisions[i].is_selected ? 1 : 0;
    table.AddRow({decisions[i].is_selected ? "yes" : "no", decisions[i].reason, std::string(source::Name(tensor.dtype)),
                  source::ShapeText(tensor.shape), archive::Printable(tensor.name)});
  }
  table.Print(out);
  out << count << " of " << decisions.size() << " tensors would be quantized\n";
}

}  // namespace

void PrintDecisions(const source::Checkpoint& checkpoint, const quantize::Options& options, bool json,
                    std::ostream& out) {
  const Listing listing = TensorsOf(checkpoint);
  const std::vector<Decision> decisions = quantize::selection::SelectTensors(
      options.packed_view ? quantize::selection::Reach::kLinearLayers : quantize::selection::Reach::kAllWeights,
      listing.tensors, options.include, options.exclude);
  json ? PrintAsJson(listing, decisions, out) : PrintAsTable(listing, decisions, out);
}

}  // namespace entrofs::packer::cli
