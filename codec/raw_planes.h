#pragma once

#include "codec/codec.h"
#include "codec/kernels/kernels.h"

// The low bits of the ranks, stored as they are. Per round of 256 outputs they are cut into planes of nibbles, crumbs
// and bits, so that vector units need no bit-by-bit unpacking; a last, shorter round is packed tightly.
namespace entrofs::codec {

// Bytes that the raw bits of `outputs` outputs take.
size_t RawBytes(unsigned raw_bits, size_t outputs);

// The last, shorter round: like Kernels::classify for plain.size() < kRoundBytes.
bool ClassifyPartialRound(const ClassifyTables& tables, ByteSpan plain, uint8_t* symbols, uint8_t** escapes,
                          uint8_t* raw);

// The last, shorter round: like Kernels::finish_rounds for `count` < kRoundBytes held bytes. False when there are more
// escapes than the cursor has.
bool FinishPartialRound(const FinishTables& tables, size_t count, const uint8_t* held, StreamCursor& cursor,
                        uint8_t* plain);

}  // namespace entrofs::codec
