// Every allocation fails once: an error or std::bad_alloc to the caller, no wrong bytes, no file, nothing remembered.

#include <gtest/gtest.h>

#include <new>

#include "tests/support/allocation_faults.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using archive::ArchiveReader;
using testing_support::Bytes;
using testing_support::MixedSample;
using testing_support::Sample;

enum class Outcome { kOk, kError, kThrown };

// Runs `body` (-> Status) with allocation number `at` failing. `*happened`: there was such an allocation.
template <typename Body>
Outcome WithFault(uint64_t at, bool* happened, const Body& body) {
  Outcome outcome = Outcome::kOk;
  testing_support::StartAllocationFaults(at);
  try {
    Status status = body();
    if (!status) outcome = Outcome::kError;
  } catch (const std::bad_alloc&) {
    outcome = Outcome::kThrown;
  }
  *happened = testing_support::StopAllocationFaults();
  return outcome;
}

TEST(AllocationFaults, OpeningFailsAndWorksAgain) {
  const Bytes archive = testing_support::Pack(MixedSample(1));
  for (uint64_t at = 0;; ++at) {
    bool happened = false;
    Outcome outcome = WithFault(at, &happened, [&]() -> Status {
      ENTROFS_ASSIGN_OR_RETURN(auto reader, testing_support::Open(archive));
      return OkStatus();
    });
    if (!happened) {
      EXPECT_EQ(outcome, Outcome::kOk);
      break;
    }
    EXPECT_NE(outcome, Outcome::kOk) << at;
  }
  EXPECT_TRUE(testing_support::Open(archive).ok());
}

TEST(AllocationFaults, AFailedReadLeavesTheReaderAsItWas) {
  auto reader = testing_support::Open(testing_support::Pack(MixedSample(1)));
  ASSERT_TRUE(reader.ok());
  for (uint64_t at = 0;; ++at) {
    // A reader of its own each time, so that pages and tables are loaded while allocations fail.
    auto fresh = testing_support::Open(testing_support::Pack(MixedSample(1)));
    ASSERT_TRUE(fresh.ok());
    bool happened = false;
    Outcome outcome = WithFault(at, &happened, [&]() -> Status {
      ArchiveReader::ReadScratch scratch;
      for (const archive::VirtualFile& file : (*fresh)->index().files) {
        for (const archive::Extent& extent : file.extents) {
          uint8_t plain[codec::kMinSegmentBytes];
          for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) {
            size_t size = ArchiveReader::SegmentBytes(extent, segment);
            ENTROFS_RETURN_IF_ERROR((*fresh)->ReadSegment(extent, segment, scratch, {plain, size}));
          }
        }
      }
      return OkStatus();
    });
    auto contents = testing_support::ReadAll(**fresh);
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    if (!happened) {
      EXPECT_EQ(outcome, Outcome::kOk);
      break;
    }
    EXPECT_NE(outcome, Outcome::kOk) << at;
  }
}

TEST(AllocationFaults, AFailedPackLeavesNoFile) {
  const Sample sample = MixedSample(30);
  testing_support::TemporaryFolder folder;
  const std::string path = folder.Path("a.entro");
  ThreadPool pool(2);
  // Most allocations are alike; each of the first ones fails, of the later ones a growing share is left out.
  for (uint64_t at = 0;; at += 1 + at / 64) {
    bool happened = false;
    Outcome outcome = WithFault(at, &happened, [&]() -> Status {
      ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, CreateFile(path));
      archive::ArchiveWriter writer(std::move(file), pool);
      ENTROFS_ASSIGN_OR_RETURN(uint64_t size, testing_support::Write(sample, writer));
      return size > 0 ? OkStatus() : Status(Error{ErrorCode::kIo, "empty"});
    });
    if (!happened) {
      EXPECT_EQ(outcome, Outcome::kOk);
      EXPECT_EQ(folder.FileCount(), 1u);
      break;
    }
    // After the rename only the folder's sync is left to fail; then the archive is whole.
    if (std::filesystem::exists(path)) {
      auto reader = ArchiveReader::Open(std::move(*OpenForReading(path)), "a");
      ASSERT_TRUE(reader.ok()) << reader.error().message;
      EXPECT_TRUE(testing_support::ReadAll(**reader).ok());
      std::filesystem::remove(path);
    }
    EXPECT_EQ(folder.FileCount(), 0u) << at;
  }
}

}  // namespace
}  // namespace entrofs
