#pragma once

#include <cstdint>
#include <vector>

namespace entrofs::fuzz {

// Makes every checksum, magic and size that mutated archive bytes have wrong right again where that is possible, so
// that what lies behind the checksums is reached. Index and report are taken to be stored uncompressed where their
// sizes do not say otherwise.
void Repair(std::vector<uint8_t>& archive);

}  // namespace entrofs::fuzz
