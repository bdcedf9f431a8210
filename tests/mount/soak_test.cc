// Many threads at random under memory pressure. Five seconds here; ENTROFS_SOAK_SECONDS asks for more.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "tests/mount/mount_fixture.h"
#include "tests/support/memory_group.h"
#include "tests/support/sanitizers.h"

namespace entrofs::fs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPage = 4096;
constexpr size_t kThreads = 64;
constexpr uint64_t kRepetitions = 32;
constexpr uint64_t kFileBytes = kRepetitions * kRepeatedBytes;
constexpr uint64_t kLimitBytes = 64 << 20;  // a quarter of the file
// A machine that is busy otherwise may take this much longer to end what was begun.
constexpr double kPatienceSeconds = 100;

int Seconds() {
  const char* text = std::getenv("ENTROFS_SOAK_SECONDS");
  return text == nullptr ? 5 : std::atoi(text);
}

// One thread: pages at random, with runs forwards and backwards among them, by mapping or pread. Counts wrong pages.
void Read(const std::string& path, unsigned seed, Clock::time_point end, const Bytes& expected, std::atomic<int>& wrong,
          std::atomic<uint64_t>& pages) {
  std::mt19937_64 random(seed);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  auto* map = static_cast<uint8_t*>(::mmap(nullptr, kFileBytes, PROT_READ, MAP_SHARED, fd, 0));
  if (fd < 0 || map == MAP_FAILED) return void(++wrong);
  if (seed % 3 == 0) ::madvise(map, kFileBytes, MADV_RANDOM);
  Bytes copy(kPage);
  while (Clock::now() < end) {
    uint64_t page = random() % (kFileBytes / kPage);
    const uint64_t run = random() % 4 == 0 ? 200 : 1;
    const bool backward = random() % 2 == 0;
    for (uint64_t i = 0; i < run && page < kFileBytes / kPage && Clock::now() < end; ++i, page += backward ? -1u : 1u) {
      const uint8_t* bytes = map + page * kPage;
      if (seed % 4 == 1) {
        if (::pread(fd, copy.data(), kPage, static_cast<off_t>(page * kPage)) != static_cast<ssize_t>(kPage)) ++wrong;
        bytes = copy.data();
      }
      wrong += std::memcmp(bytes, expected.data() + page * kPage % kRepeatedBytes, kPage) != 0;
      ++pages;
    }
  }
  ::munmap(map, kFileBytes);
  ::close(fd);
}

class SoakTest : public MountTest {};

TEST_F(SoakTest, SixtyFourThreadsFaultAtRandomUnderMemoryPressure) {
  if (testing_support::kUnderThreadSanitizer) {
    GTEST_SKIP() << "what ThreadSanitizer remembers of readers does not fit their control group: run another build";
  }
  std::optional<testing_support::MemoryGroup> group = testing_support::MemoryGroup::Make(kLimitBytes);
  if (!group) GTEST_SKIP() << testing_support::kNeedsMemoryGroup;
  ASSERT_NO_FATAL_FAILURE(WriteRepetitiveArchive(archive_, "model", kRepetitions));
  ASSERT_EQ(MountAgain().code, 0);
  const Bytes expected = RepeatedBytes();
  const pid_t reader = ::fork();
  if (reader == 0) {
    if (!group->Add(0)) ::_exit(2);
    std::atomic<int> wrong{0};
    std::atomic<uint64_t> pages{0};
    const auto end = Clock::now() + std::chrono::seconds(Seconds());
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] { Read(Path("model"), t, end, expected, wrong, pages); });
    }
    for (std::thread& thread : threads) thread.join();
    std::printf("%llu pages read, %d wrong\n", static_cast<unsigned long long>(pages), wrong.load());
    std::fflush(stdout);
    ::_exit(wrong == 0 && pages > 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_TRUE(WaitFor(reader, Seconds() + kPatienceSeconds, &status)) << "readers hang";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(StatusNumber("read_errors"), 0u);
  EXPECT_GT(StatusNumber("filled_bytes"), 0u);
  EXPECT_GT(StatusNumber("segments_prefetched"), 0u);
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
}

}  // namespace
}  // namespace entrofs::fs
