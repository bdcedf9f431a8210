#pragma once

#include <optional>
#include <string_view>

namespace entrofs::packer::source {

// Offset of the first byte of `text` that does not belong to a well-formed UTF-8 sequence (RFC 3629: no overlong
// forms, no surrogates, nothing past U+10FFFF).
std::optional<size_t> FindInvalidUtf8(std::string_view text);

}  // namespace entrofs::packer::source
