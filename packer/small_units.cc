#include "packer/small_units.h"

#include <algorithm>
#include <mutex>

#include "base/bytes.h"
#include "base/hash.h"
#include "packer/coding.h"

namespace entrofs::packer {
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
bool AreAlike(const OutputTensor& a, const OutputTensor& b) {
  return a.dtype == b.dtype && a.blocks == b.blocks && a.follows_trellis == b.follows_trellis &&
         (a.weight_count > 0) == (b.weight_count > 0);
}

// Collects small tensors until one comes that is better off alone.
class RunBuilder {
 public:
  explicit RunBuilder(uint32_t segment_bytes) : segment_bytes_(segment_bytes) {}

  void Add(PlannedUnit planned) {
    const bool is_small = planned.measurement && planned.unit.bytes->size() < kSmallTensorBytes;
    if (!is_small) {
      Flush();
      planned_.push_back(std::move(planned));
      return;
    }
    const double bytes = EstimatedBytes(*planned.measurement);
    if (!tensors_.empty() && Joins(planned, bytes)) return;
    Flush();
    tensors_ = planned.unit.tensors;
    size_bytes_ = planned.unit.bytes->size();
    sum_ = std::move(*planned.measurement);
    estimate_ = bytes;
  }

  std::vector<PlannedUnit> Finish() {
    Flush();
    return std::move(planned_);
  }

 private:
  bool Joins(const PlannedUnit& next, double bytes) {
    const OutputTensor& tensor = *next.unit.tensors.front();
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
    if (!tensors_.empty()) planned_.push_back({JoinedUnit(tensors_), std::move(sum_)});
    tensors_.clear();
  }

  const uint32_t segment_bytes_;
  std::vector<PlannedUnit> planned_;
  // The run so far.
  std::vector<const OutputTensor*> tensors_;
  uint64_t size_bytes_ = 0;
  Measurement sum_;
  double estimate_ = 0;
};

}  // namespace

Result<std::vector<PlannedUnit>> PlanUnits(std::span<const Unit> units, uint32_t segment_bytes, ThreadPool& pool) {
  std::vector<PlannedUnit> measured(units.size());
  std::vector<Status> statuses(units.size());
  pool.ParallelFor(units.size(), [&](size_t i) {
    measured[i].unit = units[i];
    if (!units[i].dtype || units[i].bytes->size() > kMeasuredAheadBytes) return;
    Result<Measurement> measurement = MeasureAtOnce(*units[i].bytes, CandidateLayouts(units[i]), segment_bytes);
    if (measurement) {
      measured[i].measurement = std::move(*measurement);
    } else {
      statuses[i] = std::move(measurement.error()).WithContext(units[i].name);
    }
  });
  for (Status& status : statuses) ENTROFS_RETURN_IF_ERROR(status);
  RunBuilder runs(segment_bytes);
  for (PlannedUnit& planned : measured) runs.Add(std::move(planned));
  return runs.Finish();
}

}  // namespace entrofs::packer
