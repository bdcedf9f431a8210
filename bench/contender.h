#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "bench/inputs.h"

// What takes part in a race: one coder with one kernel, holding one input in coded form.
namespace entrofs::bench {

// Decodes the segments of one contender in one thread. Must not outlive it.
class SegmentDecoder {
 public:
  virtual ~SegmentDecoder() = default;
  // Fills `plain`, which has the size of segment number `segment`. False when the coded bytes are refused.
  virtual bool Decode(size_t segment, MutableByteSpan plain) = 0;
};

class Contender {
 public:
  Contender(std::string codec_name, std::string kernel_name)
      : codec(std::move(codec_name)), kernel(std::move(kernel_name)) {}
  virtual ~Contender() = default;

  // Makes this contender's kernel the one in use, for the whole process. Called before each of its runs.
  virtual void Activate() const {}
  // Codes `plain`, cut into segments of `segment_bytes` (the last may be shorter), in place of what was held.
  virtual void Encode(ByteSpan plain, size_t segment_bytes) = 0;
  // Everything a reader needs: segments and tables.
  virtual uint64_t stored_bytes() const = 0;
  virtual std::unique_ptr<SegmentDecoder> NewDecoder() const = 0;

  const std::string codec;
  const std::string kernel;
};

// Codec names of the peers.
inline constexpr char kMemcpy[] = "memcpy";
inline constexpr char kZstd1[] = "zstd-1";
inline constexpr char kHuff0[] = "huff0";
inline constexpr char kHtscodecs[] = "htscodecs";

using Contenders = std::vector<std::unique_ptr<Contender>>;

// Everything that can race on inputs of this layout here, memcpy first, entrofs' own last.
Contenders MakeContenders(const codec::Layout& layout);

// The parts of it.
Contenders OurContenders(const codec::Layout& layout);  // each codec with each kernel set this CPU can run
Contenders GeneralPeers();                              // memcpy and zstd -1
Contenders Huff0Peers();                                // zstd's Huffman stage alone, one table for the whole input
Contenders HtscodecsPeers();                            // rANS 32x16

// Pieces of bytes one after another, with readable bytes behind the last.
class Pieces {
 public:
  void Clear();
  // Room for `bytes` more at the end; commit what was used with Added.
  uint8_t* Room(size_t bytes);
  void Added(size_t bytes);
  ByteSpan piece(size_t i) const { return {bytes_.data() + begins_[i], begins_[i + 1] - begins_[i]}; }
  size_t count() const { return begins_.size() - 1; }
  uint64_t total_bytes() const { return begins_.back(); }

 private:
  std::vector<uint8_t> bytes_;
  std::vector<size_t> begins_ = {0};
};

// Calls use(piece of plain) for each segment in order.
template <typename Use>
void ForEachSegment(ByteSpan plain, size_t segment_bytes, Use use) {
  for (size_t at = 0; at < plain.size(); at += segment_bytes) {
    use(plain.subspan(at, std::min(segment_bytes, plain.size() - at)));
  }
}

}  // namespace entrofs::bench
