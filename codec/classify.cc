#include "codec/classify.h"

#include "codec/raw_planes.h"
#include "codec/scratch.h"

namespace entrofs::codec {

bool Classify(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, Classified& classified) {
  const size_t whole = plain.size() / kRoundBytes * kRoundBytes;
  const unsigned raw_bits = table.classify.raw_bits;
  scratch.symbols.Reserve(plain.size() + kKernelSlackBytes);
  scratch.escapes.Reserve(plain.size() + kKernelSlackBytes);
  scratch.stream.Reserve(RawBytes(raw_bits, plain.size()) + kKernelSlackBytes);
  uint8_t* symbols = scratch.symbols.data();
  uint8_t* escapes = scratch.escapes.data();
  uint8_t* raw = scratch.stream.data();
  if (!Active().classify(table.classify, plain.data(), whole / kRoundBytes, symbols, &escapes, raw)) return false;
  if (!ClassifyPartialRound(table.classify, plain.subspan(whole), symbols + whole, &escapes,
                            raw + RawBytes(raw_bits, whole))) {
    return false;
  }
  classified.symbols = {symbols, plain.size()};
  classified.escapes = {scratch.escapes.data(), escapes};
  classified.raw = {raw, RawBytes(raw_bits, plain.size())};
  return true;
}

}  // namespace entrofs::codec
