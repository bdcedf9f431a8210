// Every system call of writer and reader fails once in each way it can: the complete archive or none under the final
// name, an older archive kept, reads that say so and work again afterwards.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/support/sample_archive.h"
#include "tests/support/syscall_faults.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using archive::ArchiveReader;
using archive::ArchiveWriter;
using testing_support::Call;
using testing_support::Fault;
using testing_support::FaultReport;
using testing_support::Sample;
using testing_support::TemporaryFolder;

// Longer than the buffer of a new file, so that it is written in several pieces.
const Sample& LargeSample() {
  static const Sample kSample = [] {
    Sample sample = testing_support::MixedSample(100);
    sample.files.push_back(
        {.path = "noise",
         .extents = {{"noise", testing_support::RandomBytes(1'200'000, 256, 1), {}, codec::CodecKind::kStored}}});
    return sample;
  }();
  return kSample;
}

Result<uint64_t> PackTo(const std::string& path, const Sample& sample, ThreadPool& pool) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, CreateFile(path));
  ArchiveWriter writer(std::move(file), pool);
  return testing_support::Write(sample, writer);
}

Result<size_t> ReadBack(const std::string& path) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, ArchiveReader::Open(std::move(file), "a"));
  ENTROFS_ASSIGN_OR_RETURN(auto contents, testing_support::ReadAll(*reader));
  ENTROFS_ASSIGN_OR_RETURN(std::string report, reader->ReadReport());
  return contents.size();
}

struct Kind {
  const char* name;
  Fault fault;
  int error_number;
};
std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }

class SyscallFault : public testing::TestWithParam<Kind> {};

TEST_P(SyscallFault, PackingLeavesTheCompleteArchiveOrNothing) {
  ThreadPool pool(2);
  for (uint64_t at = 0;; ++at) {
    TemporaryFolder folder;
    const std::string path = folder.Path("a.entro");
    testing_support::StartFaults(at, GetParam().fault, GetParam().error_number);
    auto result = PackTo(path, LargeSample(), pool);
    FaultReport report = testing_support::StopFaults();
    if (!report.happened) {
      ASSERT_TRUE(result.ok());
      EXPECT_GE(at, 7u) << "opens, writes, syncs and renames were seen";
      break;
    }
    SCOPED_TRACE("call " + std::to_string(at) + ", " + testing_support::Name(report.call));
    if (result.ok()) {
      auto files = ReadBack(path);
      ASSERT_TRUE(files.ok()) << files.error().message;
      EXPECT_EQ(*files, LargeSample().files.size());
      // A file system that cannot sync folders says so by another error than EIO; nothing else may be passed over.
      EXPECT_FALSE(GetParam().error_number == EIO && report.call == Call::kFsync) << "not on the disk, perhaps";
    } else if (std::filesystem::exists(path)) {
      // Only what comes after the rename may fail with the archive in place, and then it is whole.
      EXPECT_TRUE(report.call == Call::kFsync || report.call == Call::kOpen);
      EXPECT_TRUE(ReadBack(path).ok());
    }
    size_t wanted = std::filesystem::exists(path) ? 1 : 0;
    EXPECT_EQ(folder.FileCount(), wanted) << "no temporary file stays";
  }
}

TEST_P(SyscallFault, PackingAgainKeepsTheOldArchiveUntilTheNewOneIsComplete) {
  ThreadPool pool(2);
  TemporaryFolder folder;
  const std::string path = folder.Path("a.entro");
  const size_t old_files = 1;
  for (uint64_t at = 0;; ++at) {
    Sample old;
    old.files.push_back({.path = "old", .extents = {}});
    ASSERT_TRUE(PackTo(path, old, pool).ok());
    testing_support::StartFaults(at, GetParam().fault, GetParam().error_number);
    auto result = PackTo(path, LargeSample(), pool);
    FaultReport report = testing_support::StopFaults();
    if (!report.happened) break;
    auto files = ReadBack(path);
    ASSERT_TRUE(files.ok()) << files.error().message;
    if (result.ok()) {
      EXPECT_EQ(*files, LargeSample().files.size());
    } else {
      EXPECT_TRUE(*files == old_files || *files == LargeSample().files.size());
    }
  }
}

TEST_P(SyscallFault, ReadingSaysSoOrReadsTheRightBytes) {
  ThreadPool pool(2);
  TemporaryFolder folder;
  const std::string path = folder.Path("a.entro");
  ASSERT_TRUE(PackTo(path, LargeSample(), pool).ok());
  for (uint64_t at = 0;; ++at) {
    testing_support::StartFaults(at, GetParam().fault, GetParam().error_number);
    auto files = ReadBack(path);
    FaultReport report = testing_support::StopFaults();
    if (!report.happened) {
      ASSERT_TRUE(files.ok());
      EXPECT_GT(at, 20u) << "opens and reads were seen";
      break;
    }
    SCOPED_TRACE("call " + std::to_string(at) + ", " + testing_support::Name(report.call));
    if (GetParam().fault == Fault::kShort || (GetParam().fault == Fault::kInterrupt && report.call != Call::kFstat)) {
      EXPECT_TRUE(files.ok()) << files.error().message;
    } else if (GetParam().fault == Fault::kError) {
      ASSERT_FALSE(files.ok());
      EXPECT_NE(files.error().message.find(std::strerror(GetParam().error_number)), std::string::npos)
          << files.error().message;
    }
  }
}

TEST(SyscallInterrupts, ShortAndInterruptedCallsDoNotStopAWriter) {
  ThreadPool pool(2);
  for (Fault fault : {Fault::kShort, Fault::kInterrupt}) {
    for (uint64_t at = 0;; ++at) {
      TemporaryFolder folder;
      testing_support::StartFaults(at, fault, 0);
      auto result = PackTo(folder.Path("a.entro"), LargeSample(), pool);
      FaultReport report = testing_support::StopFaults();
      // These are never interrupted in earnest.
      bool may_fail = report.call == Call::kRename;
      EXPECT_TRUE(result.ok() || may_fail) << testing_support::Name(report.call) << ": " << result.error().message;
      if (!report.happened) break;
    }
  }
}

TEST(Umask, IsLeftToTheKernelWhichChangesItForNobody) {
  TemporaryFolder folder;
  ThreadPool pool(2);
  const uint64_t before = testing_support::UmaskCalls();
  ASSERT_TRUE(PackTo(folder.Path("a.entro"), LargeSample(), pool).ok());
  EXPECT_EQ(testing_support::UmaskCalls(), before) << "another thread's files would have the wrong mode";
}

TEST(Signals, AtAnyCallOfAWriterLeaveTheCompleteArchiveOrNothing) {
  for (uint64_t at = 0;; ++at) {
    TemporaryFolder folder;
    const std::string path = folder.Path("a.entro");
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ThreadPool pool(2);
      testing_support::StartFaults(at, Fault::kSignal, 0);
      auto result = PackTo(path, LargeSample(), pool);
      testing_support::StopFaults();
      ::_exit(result.ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << at;
    if (WEXITSTATUS(status) == 0) {
      EXPECT_GE(at, 7u);
      break;
    }
    ASSERT_EQ(WEXITSTATUS(status), testing_support::kSignalledExit) << at;
    const bool complete = std::filesystem::exists(path);
    EXPECT_EQ(folder.FileCount(), complete ? 1u : 0u) << "call " << at;
    if (complete) {
      EXPECT_TRUE(ReadBack(path).ok()) << "call " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SyscallFault,
                         testing::Values(Kind{"Eio", Fault::kError, EIO}, Kind{"Enospc", Fault::kError, ENOSPC},
                                         Kind{"Enomem", Fault::kError, ENOMEM}, Kind{"Eintr", Fault::kInterrupt, 0},
                                         Kind{"Short", Fault::kShort, 0}, Kind{"Zero", Fault::kZero, 0}),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace entrofs
