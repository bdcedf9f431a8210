#include "base/hash.h"

#define XXH_STATIC_LINKING_ONLY
#ifdef ENTROFS_XXHASH_DISPATCH
#include <xxh_x86dispatch.h>  // the same functions, with the widest vectors of this CPU
#else
#include <xxhash.h>
#endif

#include <new>

namespace entrofs {

uint64_t Hash64(ByteSpan bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

std::string ToHex(const Hash128& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : hash) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

struct StreamHash128::State {
  XXH3_state_t xxh;
};

StreamHash128::StreamHash128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
StreamHash128::~StreamHash128() = default;
StreamHash128::StreamHash128(StreamHash128&&) noexcept = default;
StreamHash128& StreamHash128::operator=(StreamHash128&&) noexcept = default;

void StreamHash128::Update(ByteSpan bytes) { XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size()); }

Hash128 StreamHash128::Digest() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  Hash128 hash;
  std::memcpy(hash.data(), canonical.digest, hash.size());
  return hash;
}

}  // namespace entrofs
