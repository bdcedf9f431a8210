#include "fs/read_pattern.h"

#include <gtest/gtest.h>

namespace entrofs::fs {
namespace {

using Step = ReadPattern::Step;

// Reads of `size` positions, one behind the other from `first` on, `count` of them. Returns the last.
Step ReadForward(ReadPattern& pattern, uint64_t first, uint64_t size, uint64_t count, uint64_t file = 0) {
  Step step;
  for (uint64_t i = 0; i < count; ++i) step = pattern.Note(file, {first + i * size, first + (i + 1) * size});
  return step;
}

TEST(ReadPattern, ForwardReadsAreARunFromTheThirdOn) {
  ReadPattern pattern({});
  EXPECT_EQ(ReadForward(pattern, 100, 10, 1).direction, Direction::kNone);
  Step step = pattern.Note(0, {110, 120});
  EXPECT_EQ(step.direction, Direction::kForward);
  EXPECT_FALSE(step.is_run());
  EXPECT_EQ(step.LikelyDirection(), Direction::kNone);
  step = pattern.Note(0, {120, 130});
  EXPECT_TRUE(step.is_run());
  EXPECT_EQ(step.length, 2u);
  EXPECT_EQ(step.before, (Range{110, 120}));
  EXPECT_EQ(step.LikelyDirection(), Direction::kForward);
}

TEST(ReadPattern, BackwardReadsAreARunToo) {
  ReadPattern pattern({});
  Step step;
  for (uint64_t at : {90, 80, 70, 60}) step = pattern.Note(0, {at, at + 10});
  EXPECT_EQ(step.direction, Direction::kBackward);
  EXPECT_EQ(step.length, 3u);
}

TEST(ReadPattern, TurningBackBeginsToCountAnew) {
  ReadPattern pattern({});
  ReadForward(pattern, 0, 10, 5);
  const Step step = pattern.Note(0, {30, 40});
  EXPECT_EQ(step.direction, Direction::kBackward);
  EXPECT_EQ(step.length, 1u);
}

TEST(ReadPattern, RandomReadsNeverAreARun) {
  ReadPattern pattern({.max_runs = 8, .slack = 3});
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t at = i * 7919 % 100'003;
    const Step step = pattern.Note(0, {at, at + 1});
    EXPECT_FALSE(step.is_run());
    EXPECT_EQ(step.LikelyDirection(), Direction::kNone);
    EXPECT_TRUE(NextRange(step, 5, 200'000).empty() || step.length == 1);
  }
}

TEST(ReadPattern, ARepeatLeavesTheRunWhereItWas) {
  ReadPattern pattern({});
  ReadForward(pattern, 0, 10, 4);
  EXPECT_TRUE(pattern.Note(0, {32, 38}).is_repeat);
  const Step step = pattern.Note(0, {40, 50});
  EXPECT_FALSE(step.is_repeat);
  EXPECT_EQ(step.length, 4u);
}

TEST(ReadPattern, SlackForgivesWhatIsLeftOutAndOvertaken) {
  ReadPattern exact({.max_runs = 1, .slack = 0});
  ReadPattern patient({.max_runs = 1, .slack = 3});
  for (ReadPattern* pattern : {&exact, &patient}) pattern->Note(0, {10, 20});
  EXPECT_EQ(exact.DirectionTo(0, {23, 33}), Direction::kNone);
  EXPECT_EQ(patient.DirectionTo(0, {23, 33}), Direction::kForward);
  EXPECT_EQ(patient.DirectionTo(0, {24, 33}), Direction::kNone);
  EXPECT_EQ(patient.DirectionTo(0, {2, 7}), Direction::kBackward);
  EXPECT_EQ(patient.DirectionTo(0, {2, 6}), Direction::kNone);
  EXPECT_EQ(patient.DirectionTo(1, {20, 30}), Direction::kNone) << "another file";
}

TEST(ReadPattern, SeveralReadersAreToldApartAndTheOldestGivesWay) {
  ReadPattern pattern({.max_runs = 2});
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(ReadForward(pattern, i * 10, 10, 1, 0).length, i);
    EXPECT_EQ(ReadForward(pattern, 5000 + i * 10, 10, 1, 0).length, i);
  }
  pattern.Note(1, {0, 10});
  EXPECT_EQ(pattern.Note(0, {5050, 5060}).length, 5u);
  EXPECT_EQ(pattern.Note(0, {50, 60}).length, 0u);
}

TEST(ReadPattern, WhatWasServedAheadIsPassedOver) {
  ReadPattern pattern({.max_runs = 1});
  const Step step = ReadForward(pattern, 0, 10, 3);
  pattern.ServedAhead(NextRange(step, 40, 1000));
  const Step next = pattern.Note(0, {70, 80});
  EXPECT_EQ(next.length, 3u);
  EXPECT_EQ(next.direction, Direction::kForward);
}

TEST(ReadPattern, TheNextRangeStaysInTheFile) {
  ReadPattern pattern({});
  const Step forward = ReadForward(pattern, 0, 10, 3);
  EXPECT_EQ(NextRange(forward, 40, 1000), (Range{30, 70}));
  EXPECT_EQ(NextRange(forward, 40, 50), (Range{30, 50}));
  EXPECT_TRUE(NextRange(forward, 40, 30).empty());
  EXPECT_EQ(NextRange(forward, UINT64_MAX, 50), (Range{30, 50}));
  Step backward;
  for (uint64_t at : {520, 510, 500}) backward = pattern.Note(0, {at, at + 10});
  EXPECT_EQ(NextRange(backward, 40, 1000), (Range{460, 500}));
  EXPECT_EQ(NextRange(backward, 4000, 1000), (Range{0, 500}));
}

TEST(ReadPattern, PassedIsWhatTheReaderWillNotComeBackTo) {
  ReadPattern pattern({});
  EXPECT_TRUE(PassedRange(ReadForward(pattern, 0, 10, 2), 2).empty());
  EXPECT_EQ(PassedRange(pattern.Note(0, {20, 30}), 2), (Range{8, 18}));
  EXPECT_TRUE(PassedRange(pattern.Note(0, {22, 28}), 2).empty()) << "a repeat passes nothing";
  Step backward;
  for (uint64_t at : {520, 510, 500}) backward = pattern.Note(0, {at, at + 10});
  EXPECT_EQ(PassedRange(backward, 2), (Range{512, 522}));
}

// As a loader does: each tensor from its beginning to its end, the tensors in an order of its own.
TEST(ReadPattern, TensorAfterTensorIsKnownByTheThirdTensor) {
  ReadPattern pattern({});
  for (uint64_t tensor : {5000, 1000}) {
    Step step = pattern.Note(0, {tensor, tensor + 10});
    EXPECT_EQ(step.LikelyDirection(), Direction::kNone);
    ReadForward(pattern, tensor + 10, 10, 3);
  }
  for (uint64_t tensor : {9000, 3000}) {
    Step step = pattern.Note(0, {tensor, tensor + 10});
    EXPECT_FALSE(step.is_run());
    EXPECT_EQ(step.LikelyDirection(), Direction::kForward) << "at its first read";
    ReadForward(pattern, tensor + 10, 10, 3);
  }
  pattern.Note(0, {7000, 7010});
  EXPECT_EQ(pattern.Note(0, {8000, 8010}).LikelyDirection(), Direction::kNone) << "the habit ends with a lone read";
}

}  // namespace
}  // namespace entrofs::fs
