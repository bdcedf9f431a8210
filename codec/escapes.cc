#include "codec/escapes.h"

#include <algorithm>

#include "codec/bits.h"

namespace entrofs::codec {
namespace {

constexpr size_t RunLength(size_t count) { return (count + kEscapeRuns - 1) / kEscapeRuns; }

// Reads one bit string.
class Run {
 public:
  Run(const uint8_t* begin, const uint8_t* end) : at_(begin), end_(end) {}

  // Makes at least 56 bits available to Next, garbage past the end. False when the end was passed.
  bool Refill() {
    at_ += used_ >> 3;
    used_ &= 7;
    if (at_ > end_) return false;
    window_ = LoadLe<uint64_t>(at_) >> used_;
    return true;
  }

  uint8_t Next(const uint16_t* lookup) {
    uint16_t entry = lookup[window_ & (kEscapeLookupSize - 1)];
    window_ >>= entry >> 8;
    used_ += entry >> 8;
    return static_cast<uint8_t>(entry);
  }

  // True when the bits taken end in the last byte.
  bool AtEnd() const { return at_ + (used_ + 7) / 8 == end_; }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  uint64_t window_ = 0;
  unsigned used_ = 0;  // bits of *at_ and after that were taken
};

// Symbols that one refill covers.
constexpr size_t kPerRefill = 56 / kMaxEscapeBits;

}  // namespace

EncodedEscapes EncodeEscapes(const EncodeTable& table, ByteSpan classes) {
  EncodedEscapes encoded = {};
  encoded.bits.resize(BytesForBits(classes.size() * kMaxEscapeBits) + kEscapeRuns + CodeWriter::kSlackBytes);
  const size_t length = RunLength(classes.size());
  size_t at = 0;
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    const size_t begin = std::min(classes.size(), run * length);
    CodeWriter writer(encoded.bits.data() + at);
    writer.Write<kMaxEscapeBits>(table.escape_codes, classes.subspan(begin, std::min(length, classes.size() - begin)));
    encoded.bytes[run] = static_cast<uint32_t>(writer.Finish());
    at += encoded.bytes[run];
  }
  encoded.bits.resize(at);
  return encoded;
}

void PutEscapeHeader(uint32_t count, const EncodedEscapes& encoded, std::vector<uint8_t>& out) {
  PutVarint(count, out);
  if (count == 0) return;
  for (unsigned run = 0; run + 1 < kEscapeRuns; ++run) PutVarint(encoded.bytes[run], out);
}

EscapeHeader ReadEscapeHeader(ByteReader& reader, bool& ok) {
  EscapeHeader header;
  header.count = ReadVarint(reader, ok);
  if (header.count == 0) return header;
  for (unsigned run = 0; run + 1 < kEscapeRuns; ++run) header.bytes[run] = ReadVarint(reader, ok);
  return header;
}

bool DecodeEscapes(const DecodeTable& table, ByteSpan bits, const EscapeHeader& header, uint8_t* held) {
  std::vector<Run> runs;
  runs.reserve(kEscapeRuns);
  ByteSpan rest = bits;
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    size_t size = run + 1 < kEscapeRuns ? header.bytes[run] : rest.size();
    if (size > rest.size()) return false;
    runs.emplace_back(rest.data(), rest.data() + size);
    rest = rest.subspan(size);
  }
  const size_t count = header.count;
  const uint16_t* lookup = table.escape_lookup.data();
  const size_t length = RunLength(count);
  const size_t shortest = count > (kEscapeRuns - 1) * length ? count - (kEscapeRuns - 1) * length : 0;
  size_t i = 0;
  for (; i + kPerRefill <= shortest; i += kPerRefill) {
    for (Run& run : runs) {
      if (!run.Refill()) return false;
    }
    for (size_t j = i; j < i + kPerRefill; ++j) {
      for (unsigned run = 0; run < kEscapeRuns; ++run) held[run * length + j] = runs[run].Next(lookup);
    }
  }
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    for (size_t at = run * length + i; at < std::min(count, (run + 1) * length); ++at) {
      if (!runs[run].Refill()) return false;
      held[at] = runs[run].Next(lookup);
    }
    if (!runs[run].AtEnd()) return false;
  }
  return true;
}

}  // namespace entrofs::codec
