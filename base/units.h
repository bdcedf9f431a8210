#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

// Sizes and rates as people write them.
namespace entrofs {

// "0 B", "512 B", "1.50 KB", "56.8 MB", "2.10 GB": powers of 1000, three significant digits.
std::string FormatBytes(uint64_t bytes);

// "6.70 GB/s"; seconds <= 0 gives "-".
std::string FormatRate(uint64_t bytes, double seconds);

// "512", "64K", "64KiB", "1.5M", "2GB", "2.1GB": K, M, G, T and KiB.. are powers of 1024, KB, MB, GB, TB powers of
// 1000 (case of the letters does not matter). kInvalidArgument for anything else, negative or over 2^63 - 1.
Result<uint64_t> ParseBytes(std::string_view text);

}  // namespace entrofs
