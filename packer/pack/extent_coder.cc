#include "packer/pack/extent_coder.h"

#include <algorithm>
#include <numeric>

#include "base/hash.h"

namespace entrofs::packer::pack {
namespace {

// Inputs of up to this size share tables.
constexpr uint64_t kMostSharingBytes = kMeasuredAheadBytes;
// How many of one kind of plane they have at most.
constexpr size_t kTablesPerBatch = 12;
constexpr uint64_t kSampleBlockBytes = 64 << 10;
// Rounded weights are noise, or repeat each other within a few rows.
constexpr uint64_t kCodesBlockBytes = 16 << 10;
constexpr size_t kMaxSampleBlocks = 16;
// Below this, one zstd frame does as well as anything else for a literal.
constexpr uint64_t kPlainLiteralBytes = 32 << 10;

// A multiple of every element and block of the measured layouts.
uint64_t SampleUnitBytes(const Measurement& measurement) {
  uint64_t bytes = 8;
  for (const LayoutCounts& counts : measurement.layouts) {
    bytes = std::lcm(bytes, uint64_t{counts.layout.unit_bytes()});
  }
  return bytes;
}

// As Measure takes them: without differences. (Of what follows a trellis the counts are known.)
std::vector<codec::Layout> LayoutsOf(const ExtentInput& input) {
  std::vector<codec::Layout> layouts = CandidateLayouts(input);
  std::erase_if(layouts, [](const codec::Layout& layout) { return layout.delta; });
  return layouts;
}

// Evenly spread stretches of about `block_bytes`, of whole units of `bytes`, one in 64 or more; all of them when they
// are few.
Result<std::vector<uint8_t>> Sample(const RandomAccessFile& bytes, uint64_t block_bytes, uint64_t unit_bytes) {
  const uint64_t size = bytes.size();
  const uint64_t stretch_bytes = std::max(unit_bytes, block_bytes / unit_bytes * unit_bytes);
  std::vector<uint8_t> sample;
  if (size <= 4 * stretch_bytes) {
    sample.resize(size);
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(0, sample));
    return sample;
  }
  const size_t count = std::clamp<size_t>(static_cast<size_t>(size / stretch_bytes / 64), 1, kMaxSampleBlocks);
  sample.resize(count * stretch_bytes);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t offset = size / count * i / stretch_bytes * stretch_bytes;
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(offset, MutableByteSpan(sample).subspan(i * stretch_bytes, stretch_bytes)));
  }
  return sample;
}

// Whether an input is so small that its tables weigh.
bool IsSmall(const ExtentInput& input) { return input.dtype && input.bytes->size() <= kMostSharingBytes; }

}  // namespace

bool IsComputed(const ExtentInput& input) { return !input.tensors.empty() && !input.tensors.front()->scheme.empty(); }

Measurement AsMeasured(const tree::OutputTensor& tensor) {
  const codec::Histogram& counts = *tensor.byte_counts;
  return {{{codec::Layout{.trellis = tensor.follows_trellis}, {counts}}},
          Hash64({reinterpret_cast<const uint8_t*>(counts.data()), counts.size() * sizeof(counts[0])})};
}

Status ExtentCoder::ShareTablesOfArchive(const tree::OutputTree& tree, ThreadPool& pool, read::Progress& progress) {
  progress.Start("counting", tree.size_bytes());
  shared_.emplace(1);
  for (const tree::OutputFile& file : tree.files) {
    for (const ExtentInput& input : CutIntoExtents(file)) {
      if (!input.tensors.empty() && input.tensors.front()->follows_trellis) {
        shared_->Add(AsMeasured(*input.tensors.front()).layouts.front());
      } else {
        ENTROFS_ASSIGN_OR_RETURN(Measurement measurement, Measure(*input.bytes, LayoutsOf(input), pool));
        if (input.dtype) shared_->Add(measurement.layouts.front());
      }
      progress.Advance(input.bytes->size());
    }
  }
  return OkStatus();
}

void ExtentCoder::ShareTablesOf(const std::vector<PlannedExtent>& extents) {
  std::vector<const PlannedExtent*> by_size;
  for (const PlannedExtent& planned : extents) {
    if (IsSmall(planned.input)) by_size.push_back(&planned);
  }
  std::stable_sort(by_size.begin(), by_size.end(), [](const PlannedExtent* a, const PlannedExtent* b) {
    return a->input.bytes->size() > b->input.bytes->size();
  });
  shared_.emplace(kTablesPerBatch);
  for (const PlannedExtent* planned : by_size) {
    for (const LayoutCounts& counts : LayoutsToTry(*planned->measurement)) shared_->Add(counts);
  }
}

Result<Measurement> ExtentCoder::Measured(const ExtentInput& input, const RandomAccessFile& bytes,
                                          ThreadPool& pool) const {
  if (bytes.size() <= kMeasuredAtOnceBytes)
    return MeasureAtOnce(bytes, CandidateLayouts(input), options_.segment_bytes);
  return Measure(bytes, LayoutsOf(input), pool);
}

CodingOptions ExtentCoder::CodingOptionsFor(const ExtentInput& input, bool is_rounded) {
  const bool shares_tables = input.dtype && shared_ && (options_.one_table_per_archive || IsSmall(input));
  return {options_.codec, options_.segment_bytes, shares_tables ? &*shared_ : nullptr, options_.one_table_per_archive,
          is_rounded};
}

Result<Coding> ExtentCoder::Choose(const ExtentInput& input, const Measurement& measurement) {
  if (!input.dtype && input.bytes->size() < kPlainLiteralBytes && options_.codec != CodecChoice::kStored) {
    return Coding{codec::Layout{}, {{codec::CodecKind::kZstd, nullptr}}, measurement.layouts[0].EntropyBits()};
  }
  const bool is_rounded = IsComputed(input) && input.tensors.front()->weight_count > 0;
  const uint64_t block_bytes = is_rounded ? kCodesBlockBytes : kSampleBlockBytes;
  ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> sample,
                           Sample(*input.bytes, block_bytes, SampleUnitBytes(measurement)));
  CodingOptions options = CodingOptionsFor(input, is_rounded);
  // The choice of a coder is about tensors.
  if (!input.dtype && options.codec != CodecChoice::kStored && !IsAutomatic(options.codec)) {
    options.codec = CodecChoice::kAuto;
  }
  return ChooseCoding(measurement, sample, options);
}

Coding ExtentCoder::ChooseByCounts(const ExtentInput& input, const Measurement& measurement) {
  return ChooseCoding(measurement, {}, CodingOptionsFor(input, /*is_rounded=*/true));
}

uint32_t ExtentCoder::SegmentBytes(const codec::Layout& layout) const {
  const uint32_t wished = options_.segment_bytes;
  if (layout.block.empty()) return wished;
  const uint64_t step = std::lcm(layout.unit_bytes(), codec::kSegmentGranularityBytes);
  const uint64_t least = (codec::kMinSegmentBytes + step - 1) / step * step;
  return static_cast<uint32_t>(std::max(least, wished / step * step));
}

}  // namespace entrofs::packer::pack
