#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

// Checksums: XXH3 of the xxHash library (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md). They find
// accidents; they do not stop a forger (signatures do).
namespace entrofs {

// XXH3-64 of `bytes` with `seed`.
uint64_t Hash64(ByteSpan bytes, uint64_t seed = 0);

// XXH3-128 in the canonical (big-endian) byte order, as `xxh128sum` prints it.
using Hash128 = std::array<uint8_t, 16>;
std::string ToHex(const Hash128& hash);

// XXH3-128 of a byte string given piece by piece. Not thread-safe.
class StreamHash128 {
 public:
  StreamHash128();
  ~StreamHash128();
  StreamHash128(StreamHash128&&) noexcept;
  StreamHash128& operator=(StreamHash128&&) noexcept;

  void Update(ByteSpan bytes);
  // Hash of everything so far; more may follow.
  Hash128 Digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace entrofs
