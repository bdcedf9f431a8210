// Disks and memory that fail under a mount, and get well again.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>

#include "fs/archive_tree.h"
#include "fs/fuse_session.h"
#include "fs/serve.h"
#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr uint32_t kSegment = 64 << 10;

enum class Trouble : int { kNone, kIo, kNoMemory };

// A file that fails while `*trouble` says so.
class TroubledFile : public RandomAccessFile {
 public:
  TroubledFile(std::unique_ptr<RandomAccessFile> file, const std::atomic<Trouble>* trouble)
      : file_(std::move(file)), trouble_(trouble) {}
  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (*trouble_ == Trouble::kIo) return Error{ErrorCode::kIo, "disk on fire"};
    if (*trouble_ == Trouble::kNoMemory) throw std::bad_alloc();
    return file_->ReadAt(offset, out);
  }
  uint64_t size() const override { return file_->size(); }

 private:
  const std::unique_ptr<RandomAccessFile> file_;
  const std::atomic<Trouble>* const trouble_;
};

// A daemon of our own making, in a child process, whose archive has trouble when the test wants it.
class InjectedFaultTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    void* shared = ::mmap(nullptr, sizeof *trouble_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    trouble_ = new (shared) std::atomic<Trouble>(Trouble::kNone);
    SampleFile model = ModelFile("model", 4, 1'000'000, kSegment);
    content_ = model.Content();
    WriteArchive(archive_, {model});
    daemon_ = ::fork();
    ASSERT_GE(daemon_, 0);
    if (daemon_ == 0) Serve();
    for (int i = 0; i < 2000 && !IsMounted(); ++i) ::usleep(5000);
    ASSERT_TRUE(IsMounted());
  }

  ~InjectedFaultTest() override {
    if (daemon_ > 0) {
      ::kill(daemon_, SIGTERM);
      int status = 0;
      if (!WaitFor(daemon_, 20, &status)) ::kill(daemon_, SIGKILL);
    }
    if (trouble_ != nullptr) ::munmap(trouble_, sizeof *trouble_);
  }

  [[noreturn]] void Serve() const {
    auto file = OpenForReading(archive_.string());
    if (!file) ::_exit(1);
    auto reader = archive::ArchiveReader::Open(std::make_unique<TroubledFile>(std::move(*file), trouble_), "model");
    if (!reader) ::_exit(2);
    auto files = VirtualFs::Create(std::move(*reader), {.cache_bytes = 0, .threads = 2, .drop_archive_pages = false});
    if (!files) ::_exit(3);
    MountOptions options;
    options.archive_path = archive_.string();
    options.mount_point = mount_point_.string();
    const MemoryWatch memory(
        MemoryBudget(0, std::nullopt), [] { return std::nullopt; }, [](uint64_t, bool) {});
    const ServedArchive archive = {**files, options, {::getuid(), ::getgid(), 0400}, memory, [] { return 0; }};
    ArchiveTree tree(archive, "fuse", options.mount_point);
    auto session = FuseSession::Mount(tree, FuseMountAt(tree.folder(), options));
    if (!session) ::_exit(4);
    (void)(*session)->Serve(2);
    session->reset();
    ::_exit(0);
  }

  bool IsMounted() const {
    struct stat inside;
    struct stat outside;
    return ::stat(mount_point_.c_str(), &inside) == 0 && ::stat(folder_.path().c_str(), &outside) == 0 &&
           inside.st_dev != outside.st_dev;
  }

  // errno of reading a few bytes of a segment nobody has read, 0 when they came and are right.
  int ErrorOfRead(uint64_t segment) const {
    int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    const auto offset = static_cast<off_t>(kModelHeaderBytes + segment * kSegment + 5000);
    uint8_t bytes[64];
    int error = ::pread(fd, bytes, sizeof bytes, offset) < 0 ? errno : 0;
    if (error == 0) {
      EXPECT_TRUE(std::equal(bytes, bytes + sizeof bytes, content_.begin() + offset));
    }
    ::close(fd);
    return error;
  }

  std::atomic<Trouble>* trouble_ = nullptr;
  pid_t daemon_ = -1;
  Bytes content_;
};

TEST_F(InjectedFaultTest, AFailingDiskIsEioUntilItRecovers) {
  EXPECT_EQ(ErrorOfRead(0), 0);
  *trouble_ = Trouble::kIo;
  EXPECT_EQ(ErrorOfRead(5), EIO);
  EXPECT_EQ(ErrorOfRead(5), EIO);
  EXPECT_EQ(ErrorOfRead(0), 0) << "what the page cache holds needs no disk";
  struct stat info;
  EXPECT_EQ(::stat(Path("model").c_str(), &info), 0) << "nor do attributes";
  *trouble_ = Trouble::kNone;
  EXPECT_EQ(ErrorOfRead(5), 0);
  EXPECT_EQ(ReadFile(Path("model")), content_);
}

TEST_F(InjectedFaultTest, AFailedAllocationIsEnomemForThatReadAndNothingElse) {
  *trouble_ = Trouble::kNoMemory;
  EXPECT_EQ(ErrorOfRead(7), ENOMEM);
  *trouble_ = Trouble::kNone;
  EXPECT_EQ(ErrorOfRead(7), 0);
  EXPECT_EQ(ErrorOfRead(8), 0);
  EXPECT_EQ(ReadFile(Path("model")), content_);
}

TEST_F(InjectedFaultTest, MappedPagesThatCannotBeReadAreSigbusAndComeBack) {
  *trouble_ = Trouble::kIo;
  auto child_outcome = [&] {
    pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGBUS, SIG_DFL);
      int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
      auto* bytes =
          static_cast<const volatile uint8_t*>(::mmap(nullptr, content_.size(), PROT_READ, MAP_SHARED, fd, 0));
      ::_exit(bytes[3'000'000] == content_[3'000'000] ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  };
  const int failed = child_outcome();
  // AddressSanitizer turns the signal into an exit code of its own.
  EXPECT_TRUE(WIFSIGNALED(failed) ? WTERMSIG(failed) == SIGBUS : WEXITSTATUS(failed) > 1) << failed;
  *trouble_ = Trouble::kNone;
  EXPECT_EQ(child_outcome(), 0);
}

}  // namespace
}  // namespace entrofs::fs
