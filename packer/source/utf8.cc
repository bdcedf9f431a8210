#include "packer/source/utf8.h"

#include <cstdint>
#include <cstring>

namespace entrofs::packer::source {
namespace {

bool IsContinuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Length of the well-formed sequence at the start of `text` (not empty), or 0.
size_t SequenceLength(std::string_view text) {
  auto at = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const uint8_t lead = at(0);
  const uint8_t second = at(1);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (!IsContinuation(second)) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) {
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return IsContinuation(at(2)) ? 3 : 0;
  }
  if (lead > 0xf4 || (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
  return IsContinuation(at(2)) && IsContinuation(at(3)) ? 4 : 0;
}

}  // namespace

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    // Eight ASCII bytes at a time: headers are nearly all ASCII.
    uint64_t word;
    if (text.size() - position >= sizeof word) {
      std::memcpy(&word, text.data() + position, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        position += sizeof word;
        continue;
      }
    }
    size_t length = SequenceLength(text.substr(position));
    if (length == 0) return position;
    position += length;
  }
  return std::nullopt;
}

}  // namespace entrofs::packer::source
