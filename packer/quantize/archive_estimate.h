#pragma once

#include <cstdint>
#include <optional>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/source/tensor.h"

namespace entrofs::packer::quantize {

// About how many bytes a lossless archive takes for `bytes`, the elements of a tensor of `dtype` or, for nullopt, any
// other file. Judged by at most 16 MiB of samples, read on the pool and the calling thread; the same for any number of
// threads. Good to about a percent where samples speak for the rest. Errors are those of reading.
Result<double> EstimateArchiveBytes(const RandomAccessFile& bytes, std::optional<source::Dtype> dtype,
                                    ThreadPool& pool);

}  // namespace entrofs::packer::quantize
