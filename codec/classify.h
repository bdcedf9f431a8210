#pragma once

#include "codec/codec.h"
#include "codec/table.h"

// The first step of both encoders: values become class symbols, escaped classes and raw planes.
namespace entrofs::codec {

// In scratch memory, valid until the scratch is used otherwise.
struct Classified {
  ByteSpan symbols;
  ByteSpan escapes;  // class numbers
  ByteSpan raw;
};

// False when a value has no code.
bool Classify(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, Classified& classified);

}  // namespace entrofs::codec
