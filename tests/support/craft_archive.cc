#include "tests/support/craft_archive.h"

#include <cstdio>
#include <cstdlib>

namespace entrofs::testing_support {
namespace {

// The value of a result that a well-formed archive always gives.
template <typename T>
T Must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "craft: %s\n", result.error().message.c_str());
    std::abort();
  }
  return std::move(*result);
}

}  // namespace

archive::Footer FooterOf(const Bytes& archive) {
  return Must(archive::DecodeFooter(ByteSpan(archive).last(archive::kFooterBytes), archive.size()));
}

Bytes PlainIndexOf(const Bytes& archive) {
  archive::Block block = FooterOf(archive).index;
  return Must(archive::DecompressBlock(block, ByteSpan(archive).subspan(block.archive_offset, block.stored_bytes)));
}

Bytes WithFooter(const Bytes& archive, const archive::Footer& footer) {
  Bytes crafted(archive.begin(), archive.end() - archive::kFooterBytes);
  auto bytes = archive::EncodeFooter(footer);
  crafted.insert(crafted.end(), bytes.begin(), bytes.end());
  return crafted;
}

Bytes WithPlainIndex(const Bytes& archive, const Bytes& plain_index) {
  archive::Footer footer = FooterOf(archive);
  Bytes crafted(archive.begin(), archive.begin() + static_cast<ptrdiff_t>(footer.index.archive_offset));
  Bytes stored = archive::CompressBlock(plain_index);
  crafted.insert(crafted.end(), stored.begin(), stored.end());
  footer.index.stored_bytes = stored.size();
  footer.index.plain_bytes = plain_index.size();
  footer.index.hash = Hash64(stored, footer.index.archive_offset);
  footer.archive_bytes = crafted.size() + archive::kFooterBytes;
  crafted.resize(footer.archive_bytes);
  return WithFooter(crafted, footer);
}

Bytes WithIndex(const Bytes& archive, const archive::Index& index) {
  return WithPlainIndex(archive, archive::EncodeIndex(index));
}

}  // namespace entrofs::testing_support
