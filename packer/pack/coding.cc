#include "packer/pack/coding.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/bytes.h"
#include "base/portable_math.h"

namespace entrofs::packer::pack {
namespace {

using codec::CodecKind;
using codec::Histogram;
using codec::Layout;
using codec::PlaneEncoder;

// What coding must save, of a plane's bytes, to be worth decoding.
constexpr double kLeastGain = 0.01;
// What zstd must save beyond the entropy coder, which decodes several times as fast.
constexpr double kLeastZstdGain = 0.01;
// How many more bytes than those of tans huffman may take where it decodes several times as fast.
constexpr double kEdgeTolerance = 1.03;
// What a small plane is.
constexpr uint64_t kSmallPlaneBytes = 32 << 10;

// Bits of a table, roughly, and at the least.
constexpr double kTableBits = 8 * 120;
constexpr double kLeastTableBits = 8 * 40;

uint64_t CountOf(const Histogram& histogram) {
  uint64_t total = 0;
  for (uint64_t count : histogram) total += count;
  return total;
}

Histogram Sum(const Histogram& a, const Histogram& b) {
  Histogram sum;
  for (size_t value = 0; value < sum.size(); ++value) sum[value] = a[value] + b[value];
  return sum;
}

// Whether every value in `part` is in `whole`: a table has no codes for others.
bool HasAllOf(const Histogram& part, const Histogram& whole) {
  for (size_t value = 0; value < part.size(); ++value) {
    if (part[value] != 0 && whole[value] == 0) return false;
  }
  return true;
}

// Bytes of an element or block that a plane takes.
size_t PlaneBytes(const Layout& layout, size_t plane) {
  size_t bytes = layout.block.empty() ? 1 : 0;
  for (const codec::BlockField& field : layout.block) bytes += field.plane == plane ? field.bytes : 0;
  return bytes;
}

bool IsOneValue(const Histogram& histogram) {
  return std::count_if(histogram.begin(), histogram.end(), [](uint64_t count) { return count != 0; }) <= 1;
}

// Bytes a coded stream adds to each segment beyond its bits, roughly: 48 are the states of tans.
double StreamOverheadBytes(CodecKind kind) { return kind == CodecKind::kTans ? 60 : 14; }

struct PlaneChoice {
  PlaneEncoder encoder;
  double bytes = 0;
};

// Whether so many runs of eight bytes occur more than once that zstd might gain: shorter ones cost it about as many
// bits as their bytes cost an entropy coder.
bool RepeatsItself(ByteSpan bytes) {
  constexpr size_t kRun = 8;
  constexpr unsigned kHashBits = 14;
  constexpr size_t kOneIn = 100;
  if (bytes.size() < kRun) return true;
  std::vector<uint64_t> seen(size_t{1} << kHashBits);
  size_t repeats = 0;
  for (size_t i = 0; i + kRun <= bytes.size(); ++i) {
    const auto run = LoadLe<uint64_t>(bytes.data() + i);
    uint64_t& last = seen[run * 0x9e3779b97f4a7c15u >> (64 - kHashBits)];
    repeats += last == run;
    last = run;
  }
  return repeats * kOneIn >= bytes.size();
}

// The bytes of each plane of `sample` under zstd, over those of its order-0 entropy: both of the same bytes, so that a
// sample that is easier to code than the rest does not speak for zstd.
std::vector<double> ZstdOverEntropy(const Layout& layout, ByteSpan sample, bool is_rounded) {
  const size_t plane_count = layout.plane_count();
  const size_t units = sample.size() / layout.unit_bytes();
  std::vector<Histogram> histograms(plane_count);
  codec::CountPlanes(layout, sample, histograms);
  std::vector<double> ratios;
  codec::Scratch scratch;
  std::vector<uint8_t> out;
  for (size_t p = 0; p < plane_count; ++p) {
    if (is_rounded && !RepeatsItself(sample)) {
      ratios.push_back(std::numeric_limits<double>::infinity());
      continue;
    }
    std::vector<PlaneEncoder> planes(plane_count);
    auto encoded_bytes = [&] {
      out.clear();
      codec::EncodeSegment(layout, planes, sample, scratch, out);
      return static_cast<double>(out.size());
    };
    const double without = encoded_bytes();
    planes[p].kind = CodecKind::kZstd;
    const double entropy_bytes = codec::EntropyBits(histograms[p]) / 8;
    const double plane_bytes = static_cast<double>(units * PlaneBytes(layout, p));
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
    if (IsAutomatic(options_.codec) && !sample_.empty())
      zstd_ratios = ZstdOverEntropy(counts.layout, sample_, options_.is_rounded);
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

  // By the coder that takes the fewest bytes; with kAutoEdge by huffman when it takes hardly more.
  PlaneChoice Coded(const Layout& layout, size_t plane, const Histogram& histogram) const {
    const double plain = static_cast<double>(CountOf(histogram));
    PlaneChoice best{{CodecKind::kStored, nullptr}, plain};
    if (codec::EntropyBits(histogram) / 8 >= plain * (1 - kLeastGain)) return best;
    for (CodecKind kind : EntropyCoders(options_.codec, static_cast<uint64_t>(plain))) {
      PlaneChoice choice = CodedBy(kind, layout, plane, histogram);
      if (!choice.encoder.table) continue;
      const bool preferred = options_.codec == CodecChoice::kAutoEdge && kind == CodecKind::kHuffman &&
                             best.encoder.kind == CodecKind::kTans;
      if (choice.bytes < best.bytes * (preferred ? kEdgeTolerance : 1)) best = std::move(choice);
    }
    return best;
  }

  PlaneChoice CodedBy(CodecKind kind, const Layout& layout, size_t plane, const Histogram& histogram) const {
    std::shared_ptr<const codec::EncodeTable> shared, own;
    double shared_bits = std::numeric_limits<double>::infinity(), own_bits = shared_bits;
    if (options_.shared != nullptr) shared = options_.shared->Find(kind, layout, plane, histogram);
    if (shared) shared_bits = codec::EstimateBits(*shared, histogram);
    const bool is_own_worse = shared_bits <= codec::EntropyBits(histogram) + kLeastTableBits;
    if (options_.shared == nullptr || !(options_.only_shared || is_own_worse)) {
      own = codec::BuildTable(kind, histogram);
    }
    if (own) {
      own_bits = codec::EstimateBits(*own, histogram) + 8 * static_cast<double>(codec::SerializedTable(*own).size());
    }
    const double plain = static_cast<double>(CountOf(histogram));
    const double share = static_cast<double>(PlaneBytes(layout, plane)) / static_cast<double>(layout.unit_bytes());
    const double segments = plain / share / options_.segment_bytes + 1;
    return {{kind, shared_bits <= own_bits ? shared : own},
            std::min(shared_bits, own_bits) / 8 + segments * StreamOverheadBytes(kind)};
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

std::vector<CodecKind> EntropyCoders(CodecChoice choice, uint64_t plane_bytes) {
  if (choice == CodecChoice::kHuffman) return {CodecKind::kHuffman};
  if (choice == CodecChoice::kAutoEdge || (choice == CodecChoice::kAuto && plane_bytes <= kSmallPlaneBytes)) {
    return {CodecKind::kTans, CodecKind::kHuffman};
  }
  return {CodecKind::kTans};
}

bool IsAutomatic(CodecChoice choice) { return choice == CodecChoice::kAuto || choice == CodecChoice::kAutoEdge; }

std::optional<CodecChoice> ParseCodecChoice(std::string_view name) {
  for (CodecChoice choice :
       {CodecChoice::kAuto, CodecChoice::kAutoEdge, CodecChoice::kTans, CodecChoice::kHuffman, CodecChoice::kStored}) {
    if (Name(choice) == name) return choice;
  }
  return std::nullopt;
}

std::string_view Name(CodecChoice choice) {
  switch (choice) {
    case CodecChoice::kAuto:
      return "auto";
    case CodecChoice::kAutoEdge:
      return "auto-edge";
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

SharedTables::Key SharedTables::KeyOf(const Layout& layout, size_t plane) {
  const int transform = layout.rotate_sign ? 1 : layout.delta ? 2 : layout.trellis ? 3 : 0;
  return {layout.unit_bytes(), layout.plane_count(), transform, plane};
}

void SharedTables::Add(const LayoutCounts& counts) {
  for (size_t p = 0; p < counts.planes.size(); ++p) {
    AddPlane(counts.planes[p], clusters_[KeyOf(counts.layout, p)]);
  }
}

// To the cluster that it fits best, or to a new one when that costs more bits than another table.
void SharedTables::AddPlane(const Histogram& plane, std::vector<Cluster>& clusters) const {
  double least = std::numeric_limits<double>::infinity();
  Cluster* nearest = nullptr;
  const double alone = clusters.empty() ? 0 : codec::EntropyBits(plane);
  for (Cluster& cluster : clusters) {
    const double more = codec::EntropyBits(Sum(cluster.sum, plane)) - codec::EntropyBits(cluster.sum) - alone;
    if (more < least) least = more, nearest = &cluster;
  }
  if (nearest == nullptr || (least > kTableBits && clusters.size() < most_tables_)) {
    clusters.push_back({plane, {}});
  } else {
    nearest->sum = Sum(nearest->sum, plane);
  }
}

std::shared_ptr<const codec::EncodeTable> SharedTables::Find(CodecKind kind, const Layout& layout, size_t plane,
                                                             const Histogram& histogram) {
  auto found = clusters_.find(KeyOf(layout, plane));
  if (found == clusters_.end()) return nullptr;
  Cluster* nearest = nullptr;
  double least = 0;
  for (Cluster& cluster : found->second) {
    if (!HasAllOf(histogram, cluster.sum)) continue;
    // What a perfect code for the cluster takes for the histogram.
    const double total = static_cast<double>(CountOf(cluster.sum));
    double bits = 0;
    for (size_t value = 0; value < histogram.size(); ++value) {
      if (histogram[value] == 0) continue;
      bits -= static_cast<double>(histogram[value]) * Log2(static_cast<double>(cluster.sum[value]) / total);
    }
    if (nearest == nullptr || bits < least) least = bits, nearest = &cluster;
  }
  if (nearest == nullptr) return nullptr;
  std::shared_ptr<const codec::EncodeTable>& table = nearest->tables[kind];
  if (!table) table = codec::BuildTable(kind, nearest->sum);
  return table;
}

std::vector<Layout> CandidateLayouts(std::optional<source::Dtype> dtype) {
  // Weights in files of other kinds (GGUF, PyTorch's) begin on whole elements nearly always.
  if (!dtype) return {Layout{1, false}, Layout{2, true}, Layout{4, true}};
  switch (*dtype) {
    case source::Dtype::kBf16:
    case source::Dtype::kF16:
      return {Layout{2, true}};
    case source::Dtype::kF32:
    case source::Dtype::kC64:
      return {Layout{4, true}, Layout{4, false}};
    case source::Dtype::kF64:
      return {Layout{8, true}, Layout{8, false}};
    case source::Dtype::kI16:
    case source::Dtype::kU16:
      return {Layout{2, false}};
    case source::Dtype::kI32:
    case source::Dtype::kU32:
      return {Layout{4, false}};
    case source::Dtype::kI64:
    case source::Dtype::kU64:
      return {Layout{8, false}};
    default:
      return {Layout{1, false}};
  }
}

std::vector<LayoutCounts> LayoutsToTry(const Measurement& measurement) {
  std::vector<LayoutCounts> layouts;
  for (const LayoutCounts& counts : measurement.layouts) {
    const bool is_plain = !counts.layout.rotate_sign && !counts.layout.is_extended() && !counts.layout.trellis;
    if (is_plain && counts.layout.element_bytes > 1) layouts.push_back(AsBytes(counts));
  }
  layouts.insert(layouts.end(), measurement.layouts.begin(), measurement.layouts.end());
  return layouts;
}

Coding ChooseCoding(const Measurement& measurement, ByteSpan sample, const CodingOptions& options) {
  Chooser chooser(options, sample);
  std::pair<Coding, double> best;
  // Fewer planes win ties, and what every reader knows wins when extended layouts gain little.
  for (const LayoutCounts& counts : LayoutsToTry(measurement)) {
    std::pair<Coding, double> candidate = chooser.ForLayout(counts);
    const double handicap = counts.layout.is_extended() ? 1 + kLeastGain : 1;
    if (best.first.planes.empty() || handicap * candidate.second < best.second) best = std::move(candidate);
  }
  const bool all_stored = std::all_of(best.first.planes.begin(), best.first.planes.end(),
                                      [](const PlaneEncoder& plane) { return plane.kind == CodecKind::kStored; });
  // Without coding, planes would only cost time.
  if (all_stored) best.first.layout = Layout{}, best.first.planes.resize(1);
  best.first.estimated_bytes = best.second;
  return std::move(best.first);
}

}  // namespace entrofs::packer::pack
