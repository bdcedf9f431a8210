#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Little-endian numbers in byte strings. All functions are thread-safe; none allocates except ByteWriter.
namespace entrofs {

static_assert(std::endian::native == std::endian::little, "big-endian hosts would need byte swaps here");

using ByteSpan = std::span<const uint8_t>;
using MutableByteSpan = std::span<uint8_t>;

// Reads a T (unsigned integer, IEEE float) from p, which need not be aligned and must have sizeof(T) readable bytes.
template <typename T>
T LoadLe(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <typename T>
void StoreLe(void* p, T value) {
  std::memcpy(p, &value, sizeof value);
}

inline ByteSpan AsBytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view AsText(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Reads fields one after another from untrusted bytes. After the first read past the end every read gives zero or empty
// and ok() stays false, so a parser may read a whole record and check once.
class ByteReader {
 public:
  // `bytes` must outlive the reader and every span it returns.
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  template <typename T>
  T Read() {
    ByteSpan field = ReadBytes(sizeof(T));
    return ok_ ? LoadLe<T>(field.data()) : T{};
  }
  uint8_t ReadU8() { return Read<uint8_t>(); }
  uint16_t ReadU16() { return Read<uint16_t>(); }
  uint32_t ReadU32() { return Read<uint32_t>(); }
  uint64_t ReadU64() { return Read<uint64_t>(); }

  // The next `count` bytes, or an empty span when fewer remain.
  ByteSpan ReadBytes(size_t count) {
    if (count > remaining()) {
      ok_ = false;
      position_ = bytes_.size();
      return {};
    }
    ByteSpan field = bytes_.subspan(position_, count);
    position_ += count;
    return field;
  }

  size_t remaining() const { return bytes_.size() - position_; }
  size_t position() const { return position_; }
  bool ok() const { return ok_; }
  // True when everything was read and nothing was missing.
  bool AtEnd() const { return ok_ && remaining() == 0; }

 private:
  ByteSpan bytes_;
  size_t position_ = 0;
  bool ok_ = true;
};

// Appends fields to a byte vector.
class ByteWriter {
 public:
  template <typename T>
  void Write(T value) {
    size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    StoreLe(bytes_.data() + at, value);
  }
  void WriteU8(uint8_t value) { Write(value); }
  void WriteU16(uint16_t value) { Write(value); }
  void WriteU32(uint32_t value) { Write(value); }
  void WriteU64(uint64_t value) { Write(value); }
  void WriteBytes(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  size_t size() const { return bytes_.size(); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  std::vector<uint8_t> Take() && { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace entrofs
