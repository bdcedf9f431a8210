#pragma once

#include "codec/codec.h"
#include "codec/table.h"

// The kTans stream. See docs/codec-format.md.
namespace entrofs::codec {

// Replaces `out` by the stream of `plain`. False when the table has no code for one of its values.
// Requires: 0 < plain.size() <= kMaxSegmentBytes.
bool EncodeTans(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out);

// True when `stream` was a stream of exactly plain.size() bytes; `plain` is filled. After `stream` kReadSlackBytes are
// readable.
bool DecodeTans(const DecodeTable& table, ByteSpan stream, Scratch::Impl& scratch, MutableByteSpan plain);

}  // namespace entrofs::codec
