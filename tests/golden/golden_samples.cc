#include "tests/golden/golden_samples.h"

namespace entrofs::golden {
namespace {

using codec::CodecKind;
using testing_support::Bytes;
using testing_support::RandomBfloats;
using testing_support::RandomBytes;
using testing_support::Sample;
using testing_support::SampleExtent;

// A 4-bit weight: near 8 for most of the 256 byte values.
unsigned Nibble(uint8_t byte) { return ((byte & 15) + (byte >> 4) + 1) / 2; }

// Distributions that lead encoders to different orders, raw bits and escapes.
Bytes Shaped(const std::string& shape, size_t count) {
  Bytes bell = RandomBytes(count, 30, count);
  Bytes wide = RandomBytes(count, 256, count + 1);
  for (size_t i = 0; i < count; ++i) {
    uint8_t& byte = bell[i];
    if (shape == "scattered") byte = static_cast<uint8_t>((byte & 7) * 37 + 11);
    if (shape == "nibbles") byte = static_cast<uint8_t>(Nibble(wide[i]) | Nibble(wide[(i + 7) % count]) << 4);
    // An odd factor permutes the byte values.
    if (shape == "shuffled") byte = static_cast<uint8_t>((wide[i] + wide[(i + 1) % count]) / 2 * 77);
    if (shape == "outliers" && wide[i] < 3) byte = wide[(i + 1) % count];
    if (shape == "one-sided") byte = static_cast<uint8_t>(byte > 143 ? byte - 143 : 143 - byte);
    if (shape == "skewed") byte = static_cast<uint8_t>(wide[i] < 250 ? 0 : wide[(i + 3) % count] & 63);
    if (shape == "coin") byte = wide[i] < 16 ? 0x7f : 0x80;
    if (shape == "broad") byte = static_cast<uint8_t>((wide[i] + wide[(i + 1) % count]) / 2);
  }
  return bell;
}

// Near 128, and such that the first segment's indices are below 128.
Bytes TrellisCodes(size_t count) {
  Bytes codes = RandomBytes(count, 30, count);
  std::vector<unsigned> b(6), c(6);  // of the bytes before
  for (uint8_t& code : codes) {
    const size_t t = b.size();
    b.push_back(b[t - 1] ^ b[t - 6] ^ c[t - 2] ^ c[t - 4]);
    code = static_cast<uint8_t>((code & ~1u) | b[t]);
    c.push_back(code >> 1 & 1);
  }
  return codes;
}

Sample Shapes(CodecKind kind) {
  Sample sample;
  for (const char* shape : {"bell", "scattered", "nibbles", "outliers", "one-sided", "skewed", "shuffled", "broad"}) {
    testing_support::SampleFile file{.path = std::string("shapes/") + shape, .extents = {}};
    file.extents.push_back({shape, Shaped(shape, 7000), {}, kind});
    sample.files.push_back(std::move(file));
  }
  return sample;
}

// Lengths around lanes, rounds and chunks.
Sample Lengths(CodecKind kind) {
  Sample sample;
  testing_support::SampleFile file{.path = "lengths", .extents = {}};
  for (size_t count : {1,   2,   3,   4,   5,   7,   63,  64,   65,   251,  252,  253,  254,
                       255, 256, 257, 300, 511, 512, 513, 1023, 4095, 4096, 4097, 4098, 8191}) {
    for (const char* shape : {"outliers", "coin"}) {
      file.extents.push_back({shape + (" of " + std::to_string(count)), Shaped(shape, count), {}, kind});
    }
  }
  sample.files.push_back(std::move(file));
  return sample;
}

Sample Layouts() {
  Sample sample;
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman, CodecKind::kZstd, CodecKind::kStored}) {
    testing_support::SampleFile file{.path = std::string(codec::Name(kind)), .extents = {}};
    for (uint8_t element_bytes : {1, 2, 4, 8}) {
      for (bool rotate : {false, true}) {
        if (rotate && element_bytes == 1) continue;
        Bytes plain = RandomBfloats(400, element_bytes);
        for (size_t extra = 0; extra < size_t{element_bytes} - 1; ++extra) plain.push_back(0xa5);
        std::string name = std::to_string(element_bytes) + (rotate ? " bytes rotated" : " bytes");
        file.extents.push_back({name, std::move(plain), {element_bytes, rotate}, kind});
      }
    }
    sample.files.push_back(std::move(file));
  }
  return sample;
}

// Blocks and differences, with bytes left over.
Sample ExtendedLayouts() {
  const codec::Layout q8{.block = {{1, 0}, {1, 1}, {32, 2}}};
  const codec::Layout q6{.block = {{128, 0}, {64, 1}, {16, 2}, {1, 3}, {1, 4}}};
  const codec::Layout twice{.block = {{1, 0}, {2, 1}, {1, 0}, {12, 2}}};
  Sample sample;
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman, CodecKind::kZstd, CodecKind::kStored}) {
    testing_support::SampleFile file{.path = std::string(codec::Name(kind)), .extents = {}};
    for (size_t count : {size_t{13}, size_t{3400}}) {
      const std::string of = " of " + std::to_string(count);
      for (const codec::Layout& layout : {q8, q6, twice}) {
        const std::string name = "blocks of " + std::to_string(layout.unit_bytes()) + of;
        file.extents.push_back({name, Shaped("bell", count), layout, kind});
      }
      for (uint8_t element_bytes : {1, 2, 4, 8}) {
        Bytes sorted(count);
        for (size_t i = 0; i < count; ++i) sorted[i] = static_cast<uint8_t>(i % element_bytes == 0 ? 3 * i : i / 300);
        file.extents.push_back({"differences of " + std::to_string(element_bytes) + " bytes" + of,
                                std::move(sorted),
                                {.element_bytes = element_bytes, .delta = true},
                                kind});
      }
    }
    sample.files.push_back(std::move(file));
  }
  return sample;
}

// Codes that follow the trellis, and others; several segments, each of which begins anew.
Sample Trellises() {
  Sample sample;
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman, CodecKind::kZstd, CodecKind::kStored}) {
    testing_support::SampleFile file{.path = std::string(codec::Name(kind)), .extents = {}};
    for (size_t count : {size_t{1}, size_t{63}, size_t{3400}, codec::kMinSegmentBytes + 333}) {
      if (count > codec::kMinSegmentBytes && kind != CodecKind::kTans) continue;
      const std::string of = " of " + std::to_string(count);
      if (count < codec::kMinSegmentBytes) {
        file.extents.push_back({"others" + of, Shaped("bell", count), {.trellis = true}, kind});
      }
      file.extents.push_back({"codes" + of, TrellisCodes(count), {.trellis = true}, kind});
    }
    sample.files.push_back(std::move(file));
  }
  return sample;
}

// Several segments, the last one short; more segments than one index page lists.
Sample Segments() {
  Sample sample;
  Bytes several = Shaped("skewed", 2 * codec::kMinSegmentBytes + 777);
  Bytes many(codec::kMinSegmentBytes * (archive::kSegmentsPerIndexPage + 2) - 5, 0x42);
  sample.files.push_back({.path = "several", .extents = {{"several", std::move(several), {}, CodecKind::kTans}}});
  sample.files.push_back({.path = "pages", .extents = {{"pages", std::move(many), {}, CodecKind::kStored}}});
  return sample;
}

}  // namespace

std::vector<GoldenSample> GoldenSamples() {
  return {{"v1-empty", [] { return Sample{}; }},
          {"v1-mixed", [] { return testing_support::MixedSample(20); }},
          {"v1-shapes-tans", [] { return Shapes(CodecKind::kTans); }},
          {"v1-shapes-huffman", [] { return Shapes(CodecKind::kHuffman); }},
          {"v1-lengths-tans", [] { return Lengths(CodecKind::kTans); }},
          {"v1-lengths-huffman", [] { return Lengths(CodecKind::kHuffman); }},
          {"v1-layouts", Layouts},
          {"v1-segments", Segments},
          {"v1-extended", ExtendedLayouts},
          {"v1-trellis", Trellises},
          {"v1-views", [] { return testing_support::ViewsSample(3); }}};
}

std::vector<std::pair<std::string, testing_support::Bytes>> ContentsOf(const Sample& sample) {
  std::vector<std::pair<std::string, Bytes>> contents;
  const std::string tree = sample.tree_name.empty() ? "" : sample.tree_name + ":";
  for (const testing_support::SampleFile& file : sample.files) contents.emplace_back(tree + file.path, file.Content());
  for (const testing_support::SampleView& view : sample.views) {
    for (const testing_support::SampleViewFile& file : view.files) {
      contents.emplace_back(view.name + ":" + file.path, sample.Content(file));
    }
  }
  return contents;
}

}  // namespace entrofs::golden
