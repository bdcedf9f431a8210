#pragma once

#include "archive/format.h"
#include "tests/support/sample_archive.h"

// Archives no writer makes, with right checksums: what a stranger could send.
namespace entrofs::testing_support {

// The parts of an archive's end.
archive::Footer FooterOf(const Bytes& archive);
// The index before compression.
Bytes PlainIndexOf(const Bytes& archive);

// `archive` with its index replaced by these plain bytes and a footer that fits.
Bytes WithPlainIndex(const Bytes& archive, const Bytes& plain_index);
// The same with an index that is encoded, but not checked.
Bytes WithIndex(const Bytes& archive, const archive::Index& index);
// `archive` with its footer replaced.
Bytes WithFooter(const Bytes& archive, const archive::Footer& footer);

}  // namespace entrofs::testing_support
