#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "packer/pack/extent_coder.h"
#include "packer/pack/extent_input.h"
#include "packer/pack/measure.h"

namespace entrofs::packer::pack {

// Foretells what rounded weights will take in an archive without coding them, from how often each code occurs. What
// coding adds to entropy is nearly the same for all matrices of a model, so tables are fitted to the first few only.
// Not thread-safe.
class Forecast {
 public:
  // `coder` and `options` must outlive this.
  Forecast(ExtentCoder& coder, const PackOptions& options) : coder_(coder), options_(options) {}

  struct Foretold {
    std::string codec;
    double entropy_bits = 0;
    uint64_t stored_bytes = 0;
  };
  // Counts one more extent. `measurement` is AsMeasured of its tensor.
  Foretold Add(const ExtentInput& input, const Measurement& measurement);

  // Of all that were added.
  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  ExtentCoder& coder_;
  const PackOptions& options_;
  size_t extent_count_ = 0;
  uint64_t stored_bytes_ = 0;
  double fitted_bytes_ = 0;
  double fitted_entropy_bits_ = 0;
  double bytes_per_entropy_bit_ = 1.0 / 8;
};

}  // namespace entrofs::packer::pack
