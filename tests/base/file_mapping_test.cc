#include "base/file_mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include "base/file.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kSize = 64 * kPage + 100;

class FileMappingTest : public testing::Test {
 protected:
  FileMappingTest() : path_(folder_.Path("file")) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    std::vector<uint8_t> bytes(kSize, 7);
    EXPECT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(kSize));
  }
  ~FileMappingTest() override { ::close(fd_); }

  static bool AllAre(ByteSpan bytes, uint8_t value) {
    return std::all_of(bytes.begin(), bytes.end(), [&](uint8_t byte) { return byte == value; });
  }

  testing_support::TemporaryFolder folder_;
  const std::string path_;
  int fd_;
};

TEST_F(FileMappingTest, ViewsShowTheFile) {
  auto mapping = FileMapping::Map(fd_, kSize);
  ASSERT_NE(mapping, nullptr);
  EXPECT_TRUE(AllAre(mapping->View(0, kSize), 7));
  EXPECT_EQ(mapping->View(kPage, 5).size(), 5u);
  mapping->Forget(0, kSize);
  EXPECT_TRUE(AllAre(mapping->View(0, kSize), 7));
  EXPECT_TRUE(mapping->holds());
}

TEST_F(FileMappingTest, ViewsEndWithTheLastPage) {
  auto mapping = FileMapping::Map(fd_, kSize);
  EXPECT_EQ(mapping->View(kSize, kPage - 100).size(), kPage - 100);
  EXPECT_TRUE(mapping->View(kSize, kPage).empty());
  EXPECT_TRUE(mapping->View(UINT64_MAX, 2).empty());
  EXPECT_TRUE(mapping->View(1, UINT64_MAX).empty());
}

TEST_F(FileMappingTest, BytesThatCannotBeReadAreZeroesAndNotedForGood) {
  auto mapping = FileMapping::Map(fd_, kSize);
  auto other = FileMapping::Map(fd_, kPage);
  ASSERT_EQ(::ftruncate(fd_, kPage), 0);
  EXPECT_EQ(mapping->View(0, kPage)[5], 7);
  EXPECT_TRUE(mapping->holds());
  EXPECT_EQ(mapping->View(kPage, kPage)[5], 0);
  EXPECT_FALSE(mapping->holds());
  EXPECT_TRUE(AllAre(mapping->View(0, kSize), 0));
  EXPECT_TRUE(other->holds());
  EXPECT_TRUE(AllAre(other->View(0, kPage), 7));
  mapping.reset();
  EXPECT_TRUE(FileMapping::Map(fd_, kPage)->holds());
}

TEST_F(FileMappingTest, NobodyTakesZeroesForBytes) {
  auto mapping = FileMapping::Map(fd_, kSize);
  std::atomic<int> taken_wrongly{0}, told{0};
  std::atomic<int> running{0};
  std::vector<std::thread> readers;
  for (size_t t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      ++running;
      for (;;) {
        bool right = AllAre(mapping->View(0, 64 * kPage), 7);
        bool holds = mapping->holds();
        if (holds && !right) ++taken_wrongly;
        if (!holds) break;
      }
      ++told;
    });
  }
  while (running < 4) std::this_thread::yield();
  ASSERT_EQ(::ftruncate(fd_, 0), 0);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(taken_wrongly, 0);
  EXPECT_EQ(told, 4);
}

TEST_F(FileMappingTest, BusErrorsElsewhereEndTheProcessAsBefore) {
  auto mapping = FileMapping::Map(fd_, kSize);
  auto* other = static_cast<volatile uint8_t*>(::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd_, 0));
  ASSERT_EQ(::ftruncate(fd_, 0), 0);
  EXPECT_DEATH((void)other[kPage], "");
  EXPECT_DEATH(::raise(SIGBUS), "");
  ::munmap(const_cast<uint8_t*>(other), kSize);
}

TEST_F(FileMappingTest, TooManyAreRefusedAndFreedOnesReplaced) {
  std::vector<std::unique_ptr<FileMapping>> mappings;
  while (auto mapping = FileMapping::Map(fd_, kSize)) {
    mappings.push_back(std::move(mapping));
    ASSERT_LT(mappings.size(), 1000u);
  }
  EXPECT_GE(mappings.size(), 32u);
  mappings.pop_back();
  EXPECT_NE(FileMapping::Map(fd_, kSize), nullptr);
}

TEST_F(FileMappingTest, DroppedBytesLeaveThePageCacheAlthoughTheyWereViewed) {
  struct statfs system;
  ASSERT_EQ(::statfs(path_.c_str(), &system), 0);
  if (system.f_type == TMPFS_MAGIC)
    GTEST_SKIP() << "needs a temporary folder on a disk, this one is in memory (tmpfs): set TMPDIR";
  ASSERT_EQ(::fsync(fd_), 0);
  auto file = OpenMapped(path_);
  ASSERT_TRUE(file.ok());
  ByteSpan view = (*file)->View(0, kSize);
  EXPECT_TRUE(AllAre(view, 7));
  const auto resident = [&] {
    std::vector<unsigned char> pages(kSize / kPage + 1);
    EXPECT_EQ(::mincore(const_cast<uint8_t*>(view.data()), kSize, pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  EXPECT_GT(resident(), 0);
  (*file)->DropCached(0, kSize);
  EXPECT_EQ(resident(), 0);
  EXPECT_TRUE(AllAre(view, 7));
  EXPECT_TRUE((*file)->ViewsHold());
}

TEST_F(FileMappingTest, FilesThatOthersMayWriteAreNotViewed) {
  for (mode_t mode : {0644u, 0444u, 0664u, 0646u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    auto file = OpenMapped(path_);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ((*file)->View(0, 10).empty(), (mode & 022) != 0) << std::oct << mode;
    EXPECT_EQ((*file)->ViewsHold(), (mode & 022) == 0);
  }
  EXPECT_TRUE((*OpenForReading(path_))->View(0, 10).empty());
}

}  // namespace
}  // namespace entrofs
