#include "packer/coding.h"

#include <algorithm>
#include <array>
#include <limits>

namespace entrofs::packer {
namespace {

using codec::CodecKind;
using codec::Histogram;
using codec::Layout;
using codec::PlaneEncoder;

// What coding must save, of a plane's bytes, to be worth decoding.
constexpr double kLeastGain = 0.01;
// What zstd must save beyond the entropy coder, which decodes several times as fast.
constexpr double kLeastZstdGain = 0.01;
// Bytes a coded stream adds to each segment beyond its bits, roughly.
constexpr double kStreamOverheadBytes = 64;

uint64_t CountOf(const Histogram& histogram) {
  uint64_t total = 0;
  for (uint64_t count : histogram) total += count;
  return total;
}

bool IsOneValue(const Histogram& histogram) {
  return std::count_if(histogram.begin(), histogram.end(), [](uint64_t count) { return count != 0; }) <= 1;
}

CodecKind EntropyCoder(CodecChoice choice) {
  return choice == CodecChoice::kHuffman ? CodecKind::kHuffman : CodecKind::kTans;
}

struct PlaneChoice {
  PlaneEncoder encoder;
  double bytes = 0;
};

// The bytes of each plane of `sample` under zstd, over those of its order-0 entropy: both of the same bytes, so that a
// sample that is easier to code than the rest does not speak for zstd.
std::vector<double> ZstdOverEntropy(const Layout& layout, ByteSpan sample) {
  const size_t plane_count = layout.plane_count();
  const double plane_bytes = static_cast<double>(sample.size() / plane_count);
  std::vector<Histogram> histograms(plane_count);
  codec::CountPlanes(layout, sample, histograms);
  std::vector<double> ratios;
  codec::Scratch scratch;
  std::vector<uint8_t> out;
  for (size_t p = 0; p < plane_count; ++p) {
    std::vector<PlaneEncoder> planes(plane_count);
    auto encoded_bytes = [&] {
      out.clear();
      codec::EncodeSegment(layout, planes, sample, scratch, out);
      return static_cast<double>(out.size());
    };
    const double without = encoded_bytes();
    planes[p].kind = CodecKind::kZstd;
    const double entropy_bytes = codec::EntropyBits(histograms[p]) / 8;
    ratios.push_back(entropy_bytes == 0 ? 1 : (plane_bytes - (without - encoded_bytes())) / entropy_bytes);
  }
  return ratios;
}

class Chooser {
 public:
  Chooser(const CodingOptions& options, ByteSpan sample) : options_(options), sample_(sample) {}

  // The best coding in this layout and its size in bytes.
  std::pair<Coding, double> ForLayout(const LayoutCounts& counts) const {
    // Without a sample, more than any other choice.
    std::vector<double> zstd_ratios(counts.planes.size(), std::numeric_limits<double>::infinity());
    if (options_.codec == CodecChoice::kAuto && !sample_.empty()) zstd_ratios = ZstdOverEntropy(counts.layout, sample_);
    Coding coding{counts.layout, {}, counts.EntropyBits()};
    double bytes = 0;
    for (size_t p = 0; p < counts.planes.size(); ++p) {
      PlaneChoice choice = ForPlane(counts, p, zstd_ratios[p]);
      bytes += choice.bytes;
      coding.planes.push_back(std::move(choice.encoder));
    }
    return {std::move(coding), bytes};
  }

 private:
  PlaneChoice ForPlane(const LayoutCounts& counts, size_t plane, double zstd_ratio) const {
    const Histogram& histogram = counts.planes[plane];
    const double plain = static_cast<double>(CountOf(histogram));
    PlaneChoice best{{CodecKind::kStored, nullptr}, plain};
    if (options_.codec == CodecChoice::kStored) return best;
    if (IsOneValue(histogram)) return {{CodecKind::kConstant, nullptr}, 1};
    PlaneChoice coded = Coded(counts.layout, plane, histogram);
    if (coded.bytes < plain * (1 - kLeastGain)) best = std::move(coded);
    const double zstd_bytes = zstd_ratio * codec::EntropyBits(histogram) / 8;
    if (zstd_bytes < best.bytes - plain * kLeastZstdGain) best = {{CodecKind::kZstd, nullptr}, zstd_bytes};
    return best;
  }

  PlaneChoice Coded(const Layout& layout, size_t plane, const Histogram& histogram) const {
    const double plain = static_cast<double>(CountOf(histogram));
    PlaneChoice stored{{CodecKind::kStored, nullptr}, plain};
    if (codec::EntropyBits(histogram) / 8 >= plain * (1 - kLeastGain)) return stored;
    const CodecKind kind = EntropyCoder(options_.codec);
    std::shared_ptr<const codec::EncodeTable> table;
    double table_bytes = 0;
    if (options_.shared != nullptr) {
      table = options_.shared->Find(layout, plane);
    } else {
      table = codec::BuildTable(kind, histogram);
      if (table) table_bytes = static_cast<double>(codec::SerializedTable(*table).size());
    }
    if (!table) return stored;
    const double segments = plain * static_cast<double>(layout.plane_count()) / options_.segment_bytes + 1;
    return {{kind, table}, codec::EstimateBits(*table, histogram) / 8 + table_bytes + segments * kStreamOverheadBytes};
  }

  const CodingOptions& options_;
  const ByteSpan sample_;
};

// The bytes themselves, of which `wide` are the counts in several planes.
LayoutCounts AsBytes(const LayoutCounts& wide) {
  LayoutCounts bytes{Layout{}, {Histogram{}}};
  for (const Histogram& plane : wide.planes) {
    for (size_t value = 0; value < 256; ++value) bytes.planes[0][value] += plane[value];
  }
  return bytes;
}

}  // namespace

std::optional<CodecChoice> ParseCodecChoice(std::string_view name) {
  for (CodecChoice choice : {CodecChoice::kAuto, CodecChoice::kTans, CodecChoice::kHuffman, CodecChoice::kStored}) {
    if (Name(choice) == name) return choice;
  }
  return std::nullopt;
}

std::string_view Name(CodecChoice choice) {
  switch (choice) {
    case CodecChoice::kAuto:
      return "auto";
    case CodecChoice::kTans:
      return "tans";
    case CodecChoice::kHuffman:
      return "huffman";
    case CodecChoice::kStored:
      return "stored";
  }
  return "";
}

std::string Coding::CodecNames() const {
  std::vector<std::string_view> names;
  for (const PlaneEncoder& plane : planes) {
    std::string_view name = codec::Name(plane.kind);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : "+") + std::string(name);
  return text;
}

void SharedTables::Add(const LayoutCounts& counts) {
  for (size_t p = 0; p < counts.planes.size(); ++p) {
    Histogram& sum = histograms_[{counts.layout.element_bytes, counts.layout.rotate_sign, p}];
    for (size_t value = 0; value < 256; ++value) sum[value] += counts.planes[p][value];
  }
}

void SharedTables::Build() {
  for (const auto& [key, histogram] : histograms_) tables_[key] = codec::BuildTable(kind_, histogram);
}

std::shared_ptr<const codec::EncodeTable> SharedTables::Find(const Layout& layout, size_t plane) const {
  auto found = tables_.find({layout.element_bytes, layout.rotate_sign, plane});
  return found == tables_.end() ? nullptr : found->second;
}

std::vector<Layout> CandidateLayouts(std::optional<Dtype> dtype) {
  // Weights in files of other kinds (GGUF, PyTorch's) begin on whole elements nearly always.
  if (!dtype) return {Layout{1, false}, Layout{2, true}, Layout{4, true}};
  switch (*dtype) {
    case Dtype::kBf16:
    case Dtype::kF16:
      return {Layout{2, true}};
    case Dtype::kF32:
    case Dtype::kC64:
      return {Layout{4, true}, Layout{4, false}};
    case Dtype::kF64:
      return {Layout{8, true}, Layout{8, false}};
    case Dtype::kI16:
    case Dtype::kU16:
      return {Layout{2, false}};
    case Dtype::kI32:
    case Dtype::kU32:
      return {Layout{4, false}};
    case Dtype::kI64:
    case Dtype::kU64:
      return {Layout{8, false}};
    default:
      return {Layout{1, false}};
  }
}

Coding ChooseCoding(const Measurement& measurement, ByteSpan sample, const CodingOptions& options) {
  Chooser chooser(options, sample);
  std::pair<Coding, double> best;
  auto consider = [&](const LayoutCounts& counts) {
    std::pair<Coding, double> candidate = chooser.ForLayout(counts);
    if (best.first.planes.empty() || candidate.second < best.second) best = std::move(candidate);
  };
  // Fewer planes are tried first: they win ties.
  for (const LayoutCounts& counts : measurement.layouts) {
    if (!counts.layout.rotate_sign && counts.layout.element_bytes > 1) consider(AsBytes(counts));
  }
  for (const LayoutCounts& counts : measurement.layouts) consider(counts);
  const bool all_stored = std::all_of(best.first.planes.begin(), best.first.planes.end(),
                                      [](const PlaneEncoder& plane) { return plane.kind == CodecKind::kStored; });
  // Without coding, planes would only cost time.
  if (all_stored) best.first.layout = Layout{}, best.first.planes.resize(1);
  return std::move(best.first);
}

}  // namespace entrofs::packer
