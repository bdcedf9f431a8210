#include "packer/pack/extent_plan.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "packer/pack/coding.h"

namespace entrofs::packer::pack {
namespace {

// What an extent costs besides its bits: checksum, plane headers, states, index page and index entry.
constexpr double kExtentBytes = 110;

// About what coding makes of it, tables not counted: small tensors share them.
double EstimatedBytes(const Measurement& measurement) {
  double least = -1;
  for (const LayoutCounts& counts : LayoutsToTry(measurement)) {
    const double bytes = counts.EntropyBits() / 8;
    if (least < 0 || bytes < least) least = bytes;
  }
  return least;
}

// Without differences, which are others where tensors meet.
Measurement WithoutDifferences(Measurement measurement) {
  std::erase_if(measurement.layouts, [](const LayoutCounts& counts) { return counts.layout.delta; });
  return measurement;
}

Measurement Sum(const Measurement& a, const Measurement& b_with_differences) {
  Measurement sum = WithoutDifferences(a);
  const Measurement b = WithoutDifferences(b_with_differences);
  for (size_t i = 0; i < sum.layouts.size(); ++i) AddCounts(b.layouts[i], sum.layouts[i]);
  const uint64_t parts[2] = {a.fingerprint, b.fingerprint};
  sum.fingerprint = Hash64({reinterpret_cast<const uint8_t*>(parts), sizeof(parts)});
  return sum;
}

// Scales and the like do not mix with weights.
bool AreAlike(const tree::OutputTensor& a, const tree::OutputTensor& b) {
  return a.dtype == b.dtype && a.blocks == b.blocks && a.follows_trellis == b.follows_trellis &&
         (a.weight_count > 0) == (b.weight_count > 0);
}

// Collects small tensors until one comes that is better off alone.
class RunBuilder {
 public:
  explicit RunBuilder(uint32_t segment_bytes) : segment_bytes_(segment_bytes) {}

  void Add(PlannedExtent planned) {
    const bool is_small = planned.measurement && planned.input.bytes->size() < kSmallTensorBytes &&
                          !planned.input.tensors.front()->stands_alone;
    if (!is_small) {
      Flush();
      planned_.push_back(std::move(planned));
      return;
    }
    const double bytes = EstimatedBytes(*planned.measurement);
    if (!tensors_.empty() && Joins(planned, bytes)) return;
    Flush();
    tensors_ = planned.input.tensors;
    size_bytes_ = planned.input.bytes->size();
    sum_ = std::move(*planned.measurement);
    estimate_ = bytes;
  }

  std::vector<PlannedExtent> Finish() {
    Flush();
    return std::move(planned_);
  }

 private:
  bool Joins(const PlannedExtent& next, double bytes) {
    const tree::OutputTensor& tensor = *next.input.tensors.front();
    // A trellis goes on from one tensor to the next, but not from one segment to the next.
    const uint64_t most_bytes =
        tensor.follows_trellis ? std::min<uint64_t>(segment_bytes_, kMaxRunBytes) : kMaxRunBytes;
    if (!AreAlike(*tensors_.front(), tensor) || size_bytes_ + tensor.bytes->size() > most_bytes) return false;
    Measurement sum = Sum(sum_, *next.measurement);
    const double together = EstimatedBytes(sum);
    if (together > estimate_ + bytes + kExtentBytes) return false;
    tensors_.push_back(&tensor);
    size_bytes_ += tensor.bytes->size();
    sum_ = std::move(sum);
    estimate_ = together;
    return true;
  }

  void Flush() {
    if (!tensors_.empty()) planned_.push_back({JoinedExtent(tensors_), std::move(sum_)});
    tensors_.clear();
  }

  const uint32_t segment_bytes_;
  std::vector<PlannedExtent> planned_;
  // The run so far.
  std::vector<const tree::OutputTensor*> tensors_;
  uint64_t size_bytes_ = 0;
  Measurement sum_;
  double estimate_ = 0;
};

}  // namespace

Result<std::vector<PlannedExtent>> PlanExtents(std::span<const ExtentInput> inputs, uint32_t segment_bytes,
                                               ThreadPool& pool) {
  std::vector<PlannedExtent> measured(inputs.size());
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, inputs.size(), [&](size_t i) -> Status {
    measured[i].input = inputs[i];
    if (!inputs[i].dtype || inputs[i].bytes->size() > kMeasuredAheadBytes) return OkStatus();
    Result<Measurement> measurement = MeasureAtOnce(*inputs[i].bytes, CandidateLayouts(inputs[i]), segment_bytes);
    if (!measurement) return std::move(measurement.error()).WithContext(inputs[i].name);
    measured[i].measurement = std::move(*measurement);
    return OkStatus();
  }));
  RunBuilder runs(segment_bytes);
  for (PlannedExtent& planned : measured) runs.Add(std::move(planned));
  return runs.Finish();
}

}  // namespace entrofs::packer::pack
