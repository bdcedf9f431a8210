#pragma once

#include "codec/codec.h"
#include "codec/table.h"

// The kHuffman stream. See docs/codec-format.md.
namespace entrofs::codec {

// As EncodeTans and DecodeTans.
bool EncodeHuffman(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out);
bool DecodeHuffman(const DecodeTable& table, ByteSpan stream, Scratch::Impl& scratch, MutableByteSpan plain);

}  // namespace entrofs::codec
