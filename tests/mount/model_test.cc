// Random operations by many threads on a mount and on the directory it was packed from: what can be seen is the same.
//
// ENTROFS_MODEL_SECONDS: how long each case runs (2). ENTROFS_MODEL_SEED: where it starts (the time).

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <random>
#include <thread>

#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

using Random = std::mt19937_64;

constexpr size_t kPage = 4096;
constexpr size_t kThreads = 8;
constexpr size_t kMostOpenFiles = 6;

// What an operation showed: an errno and bytes.
struct Observation {
  int error = 0;
  std::string seen;
  friend bool operator==(const Observation&, const Observation&) = default;
};
Observation Failed() { return {errno, ""}; }

Observation Stat(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return Failed();
  std::string seen = std::to_string(info.st_mode & S_IFMT);
  if (S_ISREG(info.st_mode)) seen += " " + std::to_string(info.st_size) + " " + std::to_string(info.st_mtim.tv_sec);
  return {0, seen};
}

Observation List(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return Failed();
  std::vector<std::string> names;
  while (dirent* entry = ::readdir(folder)) names.push_back(entry->d_name + std::string(1, char('0' + entry->d_type)));
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  Observation observation;
  for (const std::string& name : names) observation.seen += name + "/";
  return observation;
}

Observation Pread(int fd, off_t offset, size_t length) {
  Observation observation;
  observation.seen.resize(length);
  ssize_t n = ::pread(fd, observation.seen.data(), length, offset);
  if (n < 0) return Failed();
  observation.seen.resize(static_cast<size_t>(n));
  return observation;
}

// O_DIRECT where the file system has it.
Observation DirectRead(const std::string& path, off_t offset, size_t pages) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (fd < 0 && errno == EINVAL) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed();
  std::unique_ptr<char, decltype(&std::free)> space(static_cast<char*>(std::aligned_alloc(kPage, pages * kPage)),
                                                    std::free);
  ssize_t n = ::pread(fd, space.get(), pages * kPage, offset);
  Observation observation = n < 0 ? Failed() : Observation{0, std::string(space.get(), static_cast<size_t>(n))};
  ::close(fd);
  return observation;
}

// A mapping of some pages, read in an order of its own.
Observation Map(const std::string& path, off_t offset, size_t length, int flags, int advice) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed();
  void* at = ::mmap(nullptr, length, PROT_READ, flags, fd, offset);
  Observation observation;
  if (at == MAP_FAILED) {
    observation = Failed();
  } else {
    (void)::madvise(at, length, advice);
    struct stat info;
    EXPECT_EQ(::fstat(fd, &info), 0);
    const auto readable = static_cast<size_t>(std::clamp<off_t>(info.st_size - offset, 0, static_cast<off_t>(length)));
    observation.seen.resize(readable);
    for (size_t end = readable; end > 0;) {
      const size_t begin = (end - 1) / kPage * kPage;
      std::copy_n(static_cast<const char*>(at) + begin, end - begin,
                  observation.seen.begin() + static_cast<ptrdiff_t>(begin));
      end = begin;
    }
    ::munmap(at, length);
  }
  ::close(fd);
  return observation;
}

class ModelTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    const char* seed = std::getenv("ENTROFS_MODEL_SEED");
    seed_ = seed != nullptr ? std::stoull(seed) : static_cast<uint64_t>(::time(nullptr));
    const char* seconds = std::getenv("ENTROFS_MODEL_SECONDS");
    seconds_ = seconds != nullptr ? std::stod(seconds) : 2;
    std::vector<SampleFile> files = {ModelFile("model.safetensors", 5, 400'000, 64 << 10),
                                     ModelFile("sub/part.safetensors", 3, 90'000),
                                     ModelFile("sub/deep/er/config.json", 1, 100)};
    files.push_back({.path = "empty", .extents = {}});
    paths_ = {"", "sub", "sub/deep", "sub/deep/er", "missing", "sub/missing", "model.safetensors/x", "folder"};
    for (SampleFile& file : files) {
      file.mtime_ns = 1'500'000'000'000'000'000;
      WriteSource(file);
      paths_.push_back(file.path);
      files_.push_back(file.path);
    }
    std::filesystem::create_directories(source_ / "folder");
    WriteArchive(archive_, files, {"folder"});
  }

  void WriteSource(const SampleFile& file) const {
    const std::filesystem::path path = source_ / file.path;
    std::filesystem::create_directories(path.parent_path());
    const Bytes content = file.Content();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    const timespec times[2] = {{0, UTIME_NOW}, {file.mtime_ns / 1'000'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  void RunThreads() {
    RecordProperty("seed", std::to_string(seed_));
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds_);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t, end] {
        Random random(seed_ + t);
        std::vector<OpenPair> open;
        while (std::chrono::steady_clock::now() < end && !HasFailure()) {
          Step(random, open);
          ++steps_;
        }
        for (const OpenPair& pair : open) Close(pair);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::printf("%zu operations, seed %llu\n", steps_.load(), static_cast<unsigned long long>(seed_));
    EXPECT_EQ(StatusNumber("read_errors"), 0u);
  }

 private:
  // The same file, open in both trees.
  struct OpenPair {
    std::string path;
    int source;
    int mounted;
  };
  static void Close(const OpenPair& pair) {
    ::close(pair.source);
    ::close(pair.mounted);
  }

  template <typename Operation>
  void Compare(const std::string& what, const Operation& operation) const {
    const Observation source = operation(source_.string() + "/");
    const Observation mounted = operation(mount_point_.string() + "/");
    EXPECT_EQ(source.error, mounted.error) << what;
    EXPECT_TRUE(source.seen == mounted.seen)
        << what << ": " << source.seen.size() << " and " << mounted.seen.size() << " bytes, seed " << seed_;
  }

  static off_t AnyOffset(Random& random) {
    const uint64_t limit = random() % 4 == 0 ? 3000 : 2'200'000;
    return static_cast<off_t>(random() % limit);
  }
  static size_t AnyLength(Random& random) { return 1 + random() % (random() % 4 == 0 ? 600'000 : 9000); }

  void Step(Random& random, std::vector<OpenPair>& open) const {
    const std::string& path = paths_[random() % paths_.size()];
    const std::string& file = files_[random() % files_.size()];
    const off_t offset = AnyOffset(random);
    const size_t length = AnyLength(random);
    switch (random() % 10) {
      case 0:
        return Compare("stat " + path, [&](const std::string& root) { return Stat(root + path); });
      case 1:
        return Compare("list " + path, [&](const std::string& root) { return List(root + path); });
      case 2:
        return Compare("direct read of " + file, [&](const std::string& root) {
          return DirectRead(root + file, offset / 4096 * 4096, 1 + length / 32768);
        });
      case 3: {
        const int flags = random() % 2 ? MAP_SHARED : MAP_PRIVATE;
        const int advice = std::array{MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED}[random() % 4];
        return Compare("mapping of " + file, [&](const std::string& root) {
          return Map(root + file, offset / 4096 * 4096, length, flags, advice);
        });
      }
      case 4:
        return OpenOne(file, open);
      case 5:
        return CloseOne(random, open);
      case 6:
        return Forget(file);
      default:
        return ReadOpen(random, open, offset, length);
    }
  }

  void OpenOne(const std::string& path, std::vector<OpenPair>& open) const {
    if (open.size() == kMostOpenFiles) return;
    OpenPair pair{path, ::open((source_ / path).c_str(), O_RDONLY | O_CLOEXEC),
                  ::open(Path(path).c_str(), O_RDONLY | O_CLOEXEC)};
    EXPECT_GE(pair.source, 0);
    EXPECT_GE(pair.mounted, 0);
    open.push_back(pair);
  }

  static void CloseOne(Random& random, std::vector<OpenPair>& open) {
    if (open.empty()) return;
    std::swap(open[random() % open.size()], open.back());
    Close(open.back());
    open.pop_back();
  }

  void ReadOpen(Random& random, const std::vector<OpenPair>& open, off_t offset, size_t length) const {
    if (open.empty()) return;
    const OpenPair& pair = open[random() % open.size()];
    const Observation source = Pread(pair.source, offset, length);
    const Observation mounted = Pread(pair.mounted, offset, length);
    EXPECT_TRUE(source == mounted) << "read of " << pair.path << " at " << offset << "+" << length << ", seed "
                                   << seed_;
  }

  // Takes pages out of the page cache, so that the daemon is asked again.
  void Forget(const std::string& path) const {
    int fd = ::open(Path(path).c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }

  const std::filesystem::path source_ = folder_.path() / "source";
  std::vector<std::string> paths_;  // of anything, or of nothing
  std::vector<std::string> files_;
  uint64_t seed_ = 0;
  double seconds_ = 0;
  std::atomic<size_t> steps_{0};
};

TEST_F(ModelTest, AMountIsLikeItsSource) {
  Outcome outcome = MountAgain({"--threads", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  RunThreads();
}

TEST_F(ModelTest, WithHardlyAnyCacheAndSmallRequests) {
  Outcome outcome = MountAgain({"--threads", "3", "--cache-size", "128K", "-o", "max_read=8192"});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  RunThreads();
}

TEST_F(ModelTest, WithTheScanPolicy) {
  Outcome outcome = MountAgain({"--threads", "2", "--cache-size", "512K", "--cache-policy", "scan"});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  RunThreads();
}

TEST_F(ModelTest, WithFilesDecodedIntoMemory) {
  ASSERT_NO_FATAL_FAILURE(MountWithEngine("memory", {"--threads", "2"}));
  if (IsSkipped()) return;
  RunThreads();
}

}  // namespace
}  // namespace entrofs::fs
