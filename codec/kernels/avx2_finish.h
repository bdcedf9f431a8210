#pragma once

#include "codec/kernels/kernels.h"

// The last step of the AVX2 decoders: escapes, raw planes, order.
namespace entrofs::codec {

inline constexpr size_t kAvx2RoundsPerChunk = 8;

// As Kernels::finish_rounds, for at most kAvx2RoundsPerChunk rounds. Without raw bits `plain` may be `held`.
// Changes no more than one byte after those rounds of `held`, and puts it back.
bool FinishChunkAvx2(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain);
bool FinishRoundsAvx2(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain);

}  // namespace entrofs::codec
