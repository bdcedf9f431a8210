#include "packer/pack/forecast.h"

namespace entrofs::packer::pack {
namespace {

// Tables are fitted to so many extents.
constexpr size_t kFittedExtents = 8;
// What the archive adds to a coded segment: checksum, plane header, place in the index.
constexpr uint64_t kSegmentOverheadBytes = 20;

}  // namespace

Forecast::Foretold Forecast::Add(const ExtentInput& input, const Measurement& measurement) {
  Foretold foretold;
  foretold.codec = codec::Name(codec::CodecKind::kTans);
  foretold.entropy_bits = measurement.layouts[0].EntropyBits();
  double bytes = foretold.entropy_bits * bytes_per_entropy_bit_;
  if (extent_count_ < kFittedExtents) {
    const Coding coding = coder_.ChooseByCounts(input, measurement);
    foretold.codec = coding.CodecNames();
    bytes = coding.estimated_bytes;
    fitted_bytes_ += bytes;
    fitted_entropy_bits_ += foretold.entropy_bits;
    if (fitted_entropy_bits_ > 0) bytes_per_entropy_bit_ = fitted_bytes_ / fitted_entropy_bits_;
  }
  ++extent_count_;
  const uint64_t segments = (input.bytes->size() + options_.segment_bytes - 1) / options_.segment_bytes;
  foretold.stored_bytes = static_cast<uint64_t>(bytes) + segments * kSegmentOverheadBytes;
  stored_bytes_ += foretold.stored_bytes;
  return foretold;
}

}  // namespace entrofs::packer::pack
