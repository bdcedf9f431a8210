#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/process.h"

// The ways in which programs read model files.
namespace entrofs::bench {

// A model file, or its beginning.
struct ModelFile {
  std::string path;
  uint64_t bytes = 0;          // to read; the file may be longer
  uint64_t weights_begin = 0;  // where the tensors start that fill it
};

struct AccessPattern {
  std::string_view name;
  std::string_view summary;
  bool is_cached = true;  // goes through the page cache, so a second time is another case
  // Reads `sample.bytes` of the file in `sample.seconds`, in the same order every time. kUnsupported where the file
  // system refuses the way of reading.
  Result<Sample> (*run)(const ModelFile& file);
};

std::span<const AccessPattern> AccessPatterns();
// Null when there is none of that name.
const AccessPattern* FindAccessPattern(std::string_view name);

}  // namespace entrofs::bench
