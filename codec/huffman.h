#pragma once

#include "codec/codec.h"
#include "codec/scratch.h"
#include "codec/table.h"

// The kHuffman stream. See docs/codec-format.md.
namespace entrofs::codec {

// As EncodeTans.
bool EncodeHuffman(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out);

// As TansReader, but Read takes multiples of kHuffmanChunkBytes, or all that are left.
inline constexpr size_t kHuffmanChunkBytes = 4096;
inline constexpr size_t kHuffmanPieceBytes = 64 << 10;  // best read at a time: tables fill the nearest cache
class HuffmanReader {
 public:
  bool Open(const DecodeTable& table, ByteSpan stream, size_t outputs, PlaneScratch& scratch);
  bool Read(MutableByteSpan plain);

 private:
  bool ReadChunks(size_t chunks, uint8_t* plain);
  bool ReadLast(MutableByteSpan plain);

  const DecodeTable* table_ = nullptr;
  PlaneScratch* scratch_ = nullptr;
  size_t left_ = 0;
  PrefixCursor prefix_;
  StreamCursor cursor_;
};

}  // namespace entrofs::codec
