#pragma once

#include "codec/codec.h"
#include "codec/scratch.h"
#include "codec/table.h"

// The kTans stream. See docs/codec-format.md.
namespace entrofs::codec {

// Replaces `out` by the stream of `plain`. False when the table has no code for one of its values.
// Requires: 0 < plain.size() <= kMaxSegmentBytes.
bool EncodeTans(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out);

// A stream decoded piece by piece.
class TansReader {
 public:
  // Begins the untrusted `stream` of `outputs` > 0 bytes; false when it is none. After it kReadSlackBytes are readable.
  // All arguments must stay as they are while it is read.
  bool Open(const DecodeTable& table, ByteSpan stream, size_t outputs, PlaneScratch& scratch);

  // Fills `plain` with the next bytes: a multiple of kRoundBytes, or all that are left. False when the stream is broken
  // or, with the last bytes, not used up. `ahead` may be null.
  bool Read(MutableByteSpan plain, Ahead* ahead);

 private:
  bool BeginTail();
  bool ReadTail(MutableByteSpan plain);

  const DecodeTable* table_ = nullptr;
  PlaneScratch* scratch_ = nullptr;
  size_t bulk_rounds_ = 0;   // left
  size_t tail_bytes_ = 0;    // left
  uint8_t* tail_ = nullptr;  // their held bytes, once they are decoded
  TansLanes lanes_;
  StreamCursor cursor_;
};

}  // namespace entrofs::codec
