#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "codec/table.h"

// Data, tables and round trips for codec tests.
namespace entrofs::codec {

// A small, fixed random number generator, so that data are the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  uint32_t Below(uint32_t bound) { return Next() % bound; }

 private:
  uint64_t state_;
};

// Bytes around 128, bell-shaped; `spread` is about four times the standard deviation.
std::vector<uint8_t> BellBytes(size_t n, unsigned spread, uint64_t seed);

// What a table of the given shape can look like.
struct Shape {
  CodecKind kind;
  unsigned raw_bits;
  ClassMap::Order order;
  bool escapes;
};
std::string NameOf(const Shape& shape);
// Both kinds, every number of raw bits, all orders, with and without escapes.
std::vector<Shape> AllShapes();
TableModel MakeModel(const Shape& shape, uint64_t seed);

// A table for both directions.
struct Tables {
  std::shared_ptr<const EncodeTable> encode;
  std::shared_ptr<const DecodeTable> decode;
};
Tables MakeTables(TableModel model);
Tables MakeTables(CodecKind kind, const std::vector<uint8_t>& training);

// Bytes the table can code. One in `any_value_each` is any of them, the others mostly of coded classes.
std::vector<uint8_t> CodableBytes(const EncodeTable& table, size_t n, uint64_t seed, uint32_t any_value_each = 50);

// Restores the kernel set that a test changes, which is the one that ENTROFS_KERNELS names where it is set.
class KernelsRestored {
 public:
  ~KernelsRestored() { (void)SelectKernels(before_); }

 private:
  std::string before_{ActiveKernels()};
};

// One plane, no layout.
std::vector<uint8_t> Encode(const Tables& tables, const std::vector<uint8_t>& plain);
// The bare stream, without the choice of storing instead.
std::vector<uint8_t> EncodeStream(const EncodeTable& table, const std::vector<uint8_t>& plain);
// A segment of one plane that holds `stream`, whether that is shorter than the plain bytes or not.
std::vector<uint8_t> SegmentOf(CodecKind kind, const std::vector<uint8_t>& stream);

// Decodes from a copy in a fresh allocation with exactly the promised slack after it, so that AddressSanitizer sees
// reads beyond. Slack and output start out as `fill`.
Status Decode(const Tables& tables, const std::vector<uint8_t>& stored, std::vector<uint8_t>& plain, uint8_t fill = 0);

}  // namespace entrofs::codec
