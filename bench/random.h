#pragma once

#include <cmath>
#include <cstdint>

namespace entrofs::bench {

// Normal deviates by the polar method over splitmix64: the standard library's distributions differ between libraries.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }

  double Normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    double x, y, square;
    do {
      x = Symmetric();
      y = Symmetric();
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double factor = std::sqrt(-2 * std::log(square) / square);
    spare_ = y * factor;
    has_spare_ = true;
    return x * factor;
  }

  // A spread for one row: lognormal around `median`.
  double RowSigma(double median, double log_sigma) { return median * std::exp(log_sigma * Normal()); }

  // Normal, and five times as large in `per_65536` of 65536 cases.
  double WithOutliers(unsigned per_65536) {
    const double x = Normal();
    return (Next() & 0xFFFF) < per_65536 ? 5 * x : x;
  }

 private:
  double Symmetric() { return static_cast<double>(static_cast<int64_t>(Next()) >> 10) * 0x1p-53; }

  uint64_t state_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace entrofs::bench
