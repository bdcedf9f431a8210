// Every way in which programs read files, on a real mount.

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr size_t kPage = 4096;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Mapping {
 public:
  Mapping(const std::string& path, size_t size, int flags) : size_(size) {
    Descriptor file(path, O_RDONLY);
    void* at = ::mmap(nullptr, size, PROT_READ, flags, file.get(), 0);
    data_ = at == MAP_FAILED ? nullptr : static_cast<uint8_t*>(at);
  }
  ~Mapping() {
    if (data_) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  uint8_t* data() const { return data_; }
  ByteSpan bytes() const { return {data_, size_}; }

 private:
  uint8_t* data_;
  size_t size_;
};

// A mounted file of about 5 MB with unaligned tensors of several segments each. The parameter: the engine.
class ReadingTest : public MountTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    SampleFile model = ModelFile("model.safetensors", 6, 800'000, 128 << 10);
    content_ = model.Content();
    ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model, ModelFile("sub/deep/config.json", 1, 100)}));
    MountWithEngine(GetParam());
    file_ = Path("model.safetensors");
  }

  bool Equals(ByteSpan bytes, size_t offset = 0) const {
    return offset + bytes.size() <= content_.size() &&
           std::memcmp(bytes.data(), content_.data() + offset, bytes.size()) == 0;
  }

  Bytes content_;
  std::string file_;
};

INSTANTIATE_TEST_SUITE_P(Engines, ReadingTest, testing::Values("fuse", "memory"),
                         [](const auto& engine) { return std::string(engine.param); });

// What holds for reads that come to the daemon.
using FuseReadingTest = ReadingTest;
INSTANTIATE_TEST_SUITE_P(Engines, FuseReadingTest, testing::Values("fuse"),
                         [](const auto& engine) { return std::string(engine.param); });

TEST_P(ReadingTest, SequentialReadGivesTheFile) { EXPECT_EQ(ReadFile(file_), content_); }

TEST_P(ReadingTest, StatAndListingShowTheArchive) {
  struct stat info;
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(static_cast<size_t>(info.st_size), content_.size());
  EXPECT_EQ(info.st_mode & ~0044u, static_cast<unsigned>(S_IFREG | 0400));
  EXPECT_EQ(info.st_mtim.tv_sec, 1'700'000'000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 123'456'789);
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(mount_point_)) {
    paths.push_back(std::filesystem::relative(entry.path(), mount_point_).string());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_EQ(paths, (std::vector<std::string>{"model.safetensors", "sub", "sub/deep", "sub/deep/config.json"}));
  EXPECT_NE(::access(Path("missing").c_str(), F_OK), 0);
  EXPECT_EQ(errno, ENOENT);
}

TEST_P(ReadingTest, NothingCanBeWritten) {
  EXPECT_LT(Descriptor(file_, O_RDWR).get(), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(Descriptor(Path("new"), O_WRONLY | O_CREAT).get(), 0);
  EXPECT_NE(::unlink(file_.c_str()), 0);
}

TEST_P(ReadingTest, PreadOfAnySize) {
  Descriptor file(file_, O_RDONLY);
  std::mt19937_64 random(1);
  for (size_t size = kPage; size <= 16 << 20; size *= 4) {
    Bytes buffer(size);
    for (int i = 0; i < 4; ++i) {
      size_t offset = random() % content_.size();
      ssize_t n = ::pread(file.get(), buffer.data(), size, static_cast<off_t>(offset));
      ASSERT_EQ(static_cast<size_t>(n), std::min(size, content_.size() - offset));
      EXPECT_TRUE(Equals({buffer.data(), static_cast<size_t>(n)}, offset));
    }
  }
}

TEST_P(ReadingTest, DirectReadsBypassThePageCache) {
  Descriptor file(file_, O_RDONLY | O_DIRECT);
  ASSERT_GE(file.get(), 0);
  for (size_t size : {kPage, size_t{1} << 20, size_t{16} << 20}) {
    std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(kPage, size), &std::free);
    auto* bytes = static_cast<uint8_t*>(buffer.get());
    size_t offset = 0;
    for (ssize_t n; (n = ::pread(file.get(), bytes, size, static_cast<off_t>(offset))) > 0 && offset < 3 << 20;) {
      ASSERT_TRUE(Equals({bytes, static_cast<size_t>(n)}, offset));
      offset += static_cast<size_t>(n);
    }
  }
}

TEST_P(ReadingTest, SharedAndPrivateMappings) {
  EXPECT_TRUE(Equals(Mapping(file_, content_.size(), MAP_SHARED).bytes()));
  EXPECT_TRUE(Equals(Mapping(file_, content_.size(), MAP_PRIVATE).bytes()));
}

TEST_P(ReadingTest, PopulatedMappings) {
  EXPECT_TRUE(Equals(Mapping(file_, content_.size(), MAP_SHARED | MAP_POPULATE).bytes()));
}

TEST_P(ReadingTest, MappingsWithAnyAdvice) {
  for (int advice : {MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED}) {
    Mapping map(file_, content_.size(), MAP_PRIVATE);
    ASSERT_EQ(::madvise(map.data(), content_.size(), advice), 0);
    for (size_t page = 0; page < content_.size() / kPage; page += advice == MADV_RANDOM ? 17 : 1) {
      ASSERT_TRUE(Equals({map.data() + page * kPage, kPage}, page * kPage));
    }
  }
}

TEST_P(ReadingTest, MappingReadBackwards) {
  Mapping map(file_, content_.size(), MAP_PRIVATE);
  for (size_t page = content_.size() / kPage; page-- > 0;) {
    ASSERT_TRUE(Equals({map.data() + page * kPage, kPage}, page * kPage));
  }
}

TEST_P(ReadingTest, FaultsFromManyThreadsOutOfOrder) {
  Mapping map(file_, content_.size(), MAP_SHARED);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 300; ++i) {
        size_t page = random() % (content_.size() / kPage);
        wrong += !Equals({map.data() + page * kPage, kPage}, page * kPage);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(ReadingTest, SixteenReadersOnOneDescriptor) {
  Descriptor file(file_, O_RDONLY);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      Bytes buffer(100'000);
      for (size_t offset = t * buffer.size(); offset < content_.size(); offset += 16 * buffer.size()) {
        ssize_t n = ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
        wrong += n <= 0 || !Equals({buffer.data(), static_cast<size_t>(n)}, offset);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(ReadingTest, SendfileCopiesTheFile) {
  std::string copy = (folder_.path() / "copy").string();
  Descriptor in(file_, O_RDONLY);
  Descriptor out(copy, O_WRONLY | O_CREAT);
  size_t done = 0;
  for (ssize_t n; done < content_.size() && (n = ::sendfile(out.get(), in.get(), nullptr, 1 << 20)) > 0;) {
    done += static_cast<size_t>(n);
  }
  EXPECT_EQ(done, content_.size());
  EXPECT_EQ(ReadFile(copy), content_);
}

TEST_P(ReadingTest, CopyingProgramsCopyTheTree) {
  std::filesystem::path copy = folder_.path() / "tree";
  std::string command = "cp -a " + mount_point_.string() + " " + copy.string() + " && diff -r " +
                        mount_point_.string() + " " + copy.string();
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_P(FuseReadingTest, ReadingTheHeaderDecodesNextToNothing) {
  Bytes header(kModelHeaderBytes);
  Descriptor file(file_, O_RDONLY);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM), 0);
  ASSERT_EQ(::pread(file.get(), header.data(), header.size(), 0), static_cast<ssize_t>(header.size()));
  EXPECT_TRUE(Equals(header));
  EXPECT_LE(StatusNumber("segments_decoded"), 3u);
}

TEST_P(FuseReadingTest, TwoTinyReadsBringTheRestOfTheirSegment) {
  Mapping map(file_, content_.size(), MAP_SHARED);
  ASSERT_EQ(::madvise(map.data(), content_.size(), MADV_RANDOM), 0);
  const size_t first = (kModelHeaderBytes + (128 << 10)) / kPage + 2;  // in the second segment of the first tensor
  for (size_t page : {first, first + 5}) EXPECT_TRUE(Equals({map.data() + page * kPage, kPage}, page * kPage));
  const size_t pages = (128 << 10) / kPage - 4;
  std::vector<unsigned char> resident(pages);
  const auto all_resident = [&] {
    EXPECT_EQ(::mincore(map.data() + first * kPage, pages * kPage, resident.data()), 0);
    return std::all_of(resident.begin(), resident.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  for (int i = 0; i < 2000 && !all_resident(); ++i) ::usleep(5000);
  EXPECT_TRUE(all_resident());
  EXPECT_GE(StatusNumber("filled_bytes"), pages * kPage);
  EXPECT_TRUE(Equals({map.data() + first * kPage, pages * kPage}, first * kPage));
}

// As a shell's $(entrofs mount ...) does: it waits until nobody can write to the pipe any more.
TEST_P(ReadingTest, NoThreadOfTheDaemonKeepsTheOutputOfTheCommand) {
  ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  const std::string command = std::string(ENTROFS_BIN_DIR) + "/entrofs mount --engine " + GetParam() + " " +
                              archive_.string() + " " + mount_point_.string();
  std::FILE* output = ::popen(command.c_str(), "r");
  ASSERT_NE(output, nullptr);
  pollfd end{.fd = ::fileno(output), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&end, 1, 30'000), 1);
  EXPECT_NE(end.revents & POLLHUP, 0);
  // Should the daemon hold the pipe, closing it would wait only for the command itself.
  EXPECT_EQ(::pclose(output), 0);
}

TEST_P(FuseReadingTest, ReadingAgainAsksTheDaemonNothing) {
  (void)ReadFile(file_);
  EXPECT_GE(StatusNumber("read_bytes"), content_.size());
  // The page cache belongs to the whole machine: somebody else may have it emptied, but hardly every time.
  bool asked_nothing = false;
  for (int attempt = 0; attempt < 5 && !asked_nothing; ++attempt) {
    uint64_t reads = StatusNumber("reads");
    EXPECT_EQ(ReadFile(file_), content_);
    asked_nothing = StatusNumber("reads") == reads;
  }
  EXPECT_TRUE(asked_nothing);
}

}  // namespace
}  // namespace entrofs::fs
