#include "codec/huffman.h"

#include <algorithm>

#include "codec/bits.h"
#include "codec/classify.h"
#include "codec/escapes.h"
#include "codec/raw_planes.h"
#include "codec/scratch.h"

namespace entrofs::codec {
namespace {

// Outputs are cut into chunks, each chunk into four runs; run j of all chunks is bit string j.
constexpr size_t kChunkBytes = kHuffmanChunkBytes;
constexpr unsigned kRuns = 4;

constexpr size_t RunLength(size_t chunk) { return (chunk + kRuns - 1) / kRuns; }

struct HuffmanStream {
  std::array<ByteSpan, kRuns> strings;
  EscapeHeader escapes;
  ByteSpan raw;
  ByteSpan escape_bits;
};

bool ParseStream(const DecodeTable& table, ByteSpan bytes, size_t outputs, HuffmanStream& stream) {
  ByteReader reader(bytes);
  bool ok = true;
  std::array<uint32_t, kRuns> sizes;
  for (uint32_t& size : sizes) size = ReadVarint(reader, ok);
  if (table.tans.finish.has_escapes) stream.escapes = ReadEscapeHeader(reader, ok);
  for (unsigned run = 0; run < kRuns; ++run) stream.strings[run] = reader.ReadBytes(sizes[run]);
  stream.raw = reader.ReadBytes(RawBytes(table.tans.finish.raw_bits, outputs));
  if (!ok || !reader.ok()) return false;
  stream.escape_bits = reader.ReadBytes(reader.remaining());
  return stream.escapes.count <= outputs;
}

// Whole chunks whose class codes are decoded together: the end of a run, where lookups are single, comes less often.
constexpr size_t kChunksTogether = 4;

// Writes class string `run` and returns its length.
size_t WriteString(const EncodeTable& table, ByteSpan symbols, unsigned run, uint8_t* out) {
  CodeWriter writer(out);
  for (size_t start = 0; start < symbols.size(); start += kChunkBytes) {
    const ByteSpan chunk = symbols.subspan(start, std::min(kChunkBytes, symbols.size() - start));
    const size_t begin = std::min(chunk.size(), run * RunLength(chunk.size()));
    const size_t length = std::min(RunLength(chunk.size()), chunk.size() - begin);
    writer.Write<kMaxClassCodeBits>(table.class_codes, chunk.subspan(begin, length));
  }
  return writer.Finish();
}

}  // namespace

bool EncodeHuffman(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out) {
  Classified classified;
  if (!Classify(table, plain, scratch, classified)) return false;
  const size_t string_space = BytesForBits((plain.size() / kRuns + kChunkBytes) * kMaxClassCodeBits);
  scratch.steps.Reserve(kRuns * string_space + CodeWriter::kSlackBytes);
  std::array<ByteSpan, kRuns> strings;
  for (unsigned run = 0; run < kRuns; ++run) {
    uint8_t* const string = scratch.steps.data() + run * string_space;
    strings[run] = {string, WriteString(table, classified.symbols, run, string)};
  }
  out.clear();
  for (ByteSpan string : strings) PutVarint(static_cast<uint32_t>(string.size()), out);
  EncodedEscapes escapes;
  if (table.model.has_escapes()) {
    escapes = EncodeEscapes(table, classified.escapes);
    PutEscapeHeader(static_cast<uint32_t>(classified.escapes.size()), escapes, out);
  }
  for (ByteSpan string : strings) out.insert(out.end(), string.begin(), string.end());
  out.insert(out.end(), classified.raw.begin(), classified.raw.end());
  out.insert(out.end(), escapes.bits.begin(), escapes.bits.end());
  return true;
}

bool HuffmanReader::Open(const DecodeTable& table, ByteSpan bytes, size_t outputs, PlaneScratch& scratch) {
  HuffmanStream stream;
  if (!ParseStream(table, bytes, outputs, stream)) return false;
  table_ = &table;
  scratch_ = &scratch;
  left_ = outputs;
  scratch.escapes.Reserve(stream.escapes.count + kKernelSlackBytes);
  if (!DecodeEscapes(table, stream.escape_bits, stream.escapes, scratch.escapes.data())) return false;
  prefix_ = {};
  for (unsigned run = 0; run < kRuns; ++run) {
    prefix_.at[run] = stream.strings[run].data();
    prefix_.end[run] = stream.strings[run].data() + stream.strings[run].size();
  }
  cursor_ = {
      .main = nullptr,
      .main_end = nullptr,
      .raw = stream.raw.data(),
      .escapes = scratch.escapes.data(),
      .escapes_end = scratch.escapes.data() + stream.escapes.count,
      .ahead = nullptr,
  };
  scratch.held.Reserve(kChunksTogether * kChunkBytes + kKernelSlackBytes);
  return true;
}

bool HuffmanReader::Read(MutableByteSpan plain) {
  left_ -= plain.size();
  while (plain.size() >= kChunkBytes) {
    const size_t chunks = std::min(plain.size() / kChunkBytes, kChunksTogether);
    if (!ReadChunks(chunks, plain.data())) return false;
    plain = plain.subspan(chunks * kChunkBytes);
  }
  return left_ > 0 || ReadLast(plain);
}

// Decodes the next `chunks` whole chunks, at most kChunksTogether.
bool HuffmanReader::ReadChunks(size_t chunks, uint8_t* plain) {
  constexpr size_t kRunBytes = kChunkBytes / kRuns;
  const size_t stride = chunks * kRunBytes;
  const size_t counts[kRuns] = {stride, stride, stride, stride};
  uint8_t* const held = scratch_->held.data();
  if (!Active().decode_prefix(*table_->prefix, counts, stride, prefix_, held)) return false;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    for (unsigned run = 0; run < kRuns; ++run, plain += kRunBytes) {
      uint8_t* const from = held + run * stride + chunk * kRunBytes;
      if (!Active().finish_rounds(table_->tans.finish, kRunBytes / kRoundBytes, from, cursor_, plain)) return false;
    }
  }
  return true;
}

// Decodes the last chunk, which is shorter than the others, if not empty. False unless the stream ends there.
bool HuffmanReader::ReadLast(MutableByteSpan plain) {
  const FinishTables& finish = table_->tans.finish;
  uint8_t* const held = scratch_->held.data();
  const size_t length = RunLength(plain.size());
  size_t counts[kRuns];
  for (unsigned run = 0; run < kRuns; ++run) {
    counts[run] = std::min(length, plain.size() - std::min(plain.size(), run * length));
  }
  if (!Active().decode_prefix(*table_->prefix, counts, length, prefix_, held)) return false;
  const size_t whole = plain.size() / kRoundBytes * kRoundBytes;
  if (!Active().finish_rounds(finish, whole / kRoundBytes, held, cursor_, plain.data())) return false;
  if (!FinishPartialRound(finish, plain.size() - whole, held + whole, cursor_, plain.data() + whole)) return false;
  return AtEnds(prefix_) && cursor_.escapes == cursor_.escapes_end;
}

}  // namespace entrofs::codec
