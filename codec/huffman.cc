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
constexpr size_t kChunkBytes = 4096;
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

// Decodes the held bytes of one chunk.
bool DecodeChunk(const DecodeTable& table, size_t chunk, PrefixCursor& cursor, uint8_t* held) {
  const size_t length = RunLength(chunk);
  const size_t last = chunk > (kRuns - 1) * length ? chunk - (kRuns - 1) * length : 0;
  const size_t together = last / kPrefixBatch * kPrefixBatch;
  if (!Active().decode_prefix(table.pair_lookup.data(), together, length, cursor, held)) return false;
  for (unsigned run = 0; run < kRuns; ++run) {
    for (size_t at = run * length + together; at < std::min(chunk, (run + 1) * length); ++at) {
      cursor.at[run] += cursor.used[run] >> 3;
      cursor.used[run] &= 7;
      if (cursor.at[run] > cursor.end[run]) return false;
      const uint32_t window = LoadLe<uint32_t>(cursor.at[run]) >> cursor.used[run];
      const uint32_t entry = table.pair_lookup[window & (kPairLookupSize - 1)];
      held[at] = static_cast<uint8_t>(entry >> 8);
      cursor.used[run] += entry >> 24;
    }
  }
  return true;
}

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

bool DecodeHuffman(const DecodeTable& table, ByteSpan bytes, Scratch::Impl& scratch, MutableByteSpan plain) {
  const FinishTables& finish = table.tans.finish;
  HuffmanStream stream;
  if (!ParseStream(table, bytes, plain.size(), stream)) return false;
  scratch.escapes.Reserve(stream.escapes.count + kKernelSlackBytes);
  if (!DecodeEscapes(table, stream.escape_bits, stream.escapes, scratch.escapes.data())) return false;
  PrefixCursor prefix = {};
  for (unsigned run = 0; run < kRuns; ++run) {
    prefix.at[run] = stream.strings[run].data();
    prefix.end[run] = stream.strings[run].data() + stream.strings[run].size();
  }
  StreamCursor cursor = {
      .main = nullptr,
      .main_end = nullptr,
      .raw = stream.raw.data(),
      .escapes = scratch.escapes.data(),
      .escapes_end = scratch.escapes.data() + stream.escapes.count,
  };
  scratch.symbols.Reserve(kChunkBytes + kKernelSlackBytes);
  uint8_t* held = scratch.symbols.data();
  for (size_t start = 0; start < plain.size(); start += kChunkBytes) {
    const size_t chunk = std::min(kChunkBytes, plain.size() - start);
    if (!DecodeChunk(table, chunk, prefix, held)) return false;
    const size_t partial = chunk / kRoundBytes * kRoundBytes;
    uint8_t* out = plain.data() + start;
    if (!Active().finish_rounds(finish, partial / kRoundBytes, held, cursor, out)) return false;
    if (!FinishPartialRound(finish, chunk - partial, held + partial, cursor, out + partial)) return false;
  }
  for (unsigned run = 0; run < kRuns; ++run) {
    if (prefix.at[run] + (prefix.used[run] + 7) / 8 != prefix.end[run]) return false;
  }
  return cursor.escapes == cursor.escapes_end;
}

}  // namespace entrofs::codec
