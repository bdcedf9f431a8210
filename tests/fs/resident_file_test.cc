#include "fs/resident_file.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/support/fault_file.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs::fs {
namespace {

using testing_support::Bytes;

constexpr size_t kSize = 5'000'000;

template <typename Condition>
bool Becomes(const Condition& condition) {
  for (int i = 0; i < 4000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return condition();
}

class ResidentFileTest : public testing::Test {
 protected:
  std::unique_ptr<ResidentFile> Make() {
    auto inner = std::make_unique<testing_support::MemoryFile>(bytes_);
    return std::make_unique<ResidentFile>(std::make_unique<testing_support::FaultReadFile>(std::move(inner), &plan_));
  }
  bool Reads(const ResidentFile& file, uint64_t offset, size_t size) const {
    Bytes out(size);
    return file.ReadAt(offset, out).ok() &&
           std::equal(out.begin(), out.end(), bytes_.begin() + static_cast<long>(offset));
  }

  const Bytes bytes_ = testing_support::RandomBytes(kSize, 256, 1);
  testing_support::FaultPlan plan_;
};

TEST_F(ResidentFileTest, OnceLoadedTheFileIsNotReadAgain) {
  for (bool lock : {false, true}) {
    auto file = Make();
    EXPECT_TRUE(Reads(*file, 1000, 5000));
    EXPECT_TRUE(file->View(0, 10).empty());
    Status reserved = file->Reserve(lock);
    if (!reserved.ok() && lock) GTEST_SKIP() << "this user may not lock memory: run as root or raise `ulimit -l`";
    ASSERT_TRUE(reserved.ok()) << reserved.error().message;
    file->Load();
    ASSERT_TRUE(Becomes([&] { return file->resident_bytes() == kSize; }));
    plan_.FailAt(0, Error{ErrorCode::kIo, "storage is gone"}, true);
    EXPECT_TRUE(Reads(*file, 0, kSize));
    EXPECT_EQ(file->View(7, 100).size(), 100u);
    EXPECT_EQ(file->View(7, 100)[0], bytes_[7]);
    EXPECT_FALSE(file->View(kSize - 1, codec::kReadSlackBytes).empty());
    EXPECT_TRUE(file->ViewsHold());
    plan_.Heal();
  }
}

TEST_F(ResidentFileTest, WhatCannotBeLoadedIsAskedForAgain) {
  auto file = Make();
  plan_.FailAt(1, Error{ErrorCode::kIo, "bad sector"});
  ASSERT_TRUE(file->Reserve(false).ok());
  file->Load();
  ASSERT_TRUE(Becomes([&] { return plan_.has_failed(); }));
  EXPECT_TRUE(Reads(*file, 0, kSize));  // the sector has recovered
  EXPECT_LT(file->resident_bytes(), kSize);
}

TEST_F(ResidentFileTest, EndsWhileLoading) {
  auto file = Make();
  ASSERT_TRUE(file->Reserve(false).ok());
  file->Load();
  file.reset();
}

// Says that it is larger than any memory.
class HugeFile : public RandomAccessFile {
 public:
  Status ReadAt(uint64_t, MutableByteSpan) const override { return Error{ErrorCode::kIo, "huge"}; }
  uint64_t size() const override { return uint64_t{1} << 50; }
};

TEST(ResidentFile, WhatDoesNotFitIsRefusedInOneLine) {
  ResidentFile file(std::make_unique<HugeFile>());
  Status status = file.Reserve(false);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNoMemory);
  EXPECT_NE(status.error().message.find("cannot keep the archive's"), std::string::npos);
}

}  // namespace
}  // namespace entrofs::fs
