// Files and sources that fail: the whole archive or none, and reads that work again once the fault is gone.

#include <gtest/gtest.h>

#include <new>

#include "tests/support/fault_file.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using archive::ArchiveReader;
using archive::ArchiveWriter;
using testing_support::Bytes;
using testing_support::FaultPlan;
using testing_support::MixedSample;
using testing_support::Sample;

const Error kDiskFull{ErrorCode::kIo, "No space left on device"};

TEST(WriterFaults, EveryFailedOperationLeavesNoFile) {
  const Sample sample = MixedSample(400);
  testing_support::TemporaryFolder folder;
  ThreadPool pool(3);
  FaultPlan plan;
  uint64_t operations = 0;
  for (uint64_t fail_at = 0;; ++fail_at) {
    plan.FailAt(fail_at, kDiskFull);
    Result<uint64_t> result = uint64_t{0};
    {
      auto file = CreateFile(folder.Path("a.entro"));
      ASSERT_TRUE(file.ok());
      ArchiveWriter writer(std::make_unique<testing_support::FaultNewFile>(std::move(*file), &plan), pool);
      result = testing_support::Write(sample, writer);
    }
    if (!plan.has_failed()) {
      EXPECT_TRUE(result.ok());
      EXPECT_EQ(folder.FileCount(), 1u);
      break;
    }
    ++operations;
    ASSERT_FALSE(result.ok()) << fail_at;
    EXPECT_EQ(result.error().message, kDiskFull.message);
    EXPECT_EQ(folder.FileCount(), 0u) << fail_at;
  }
  EXPECT_GT(operations, 20u);
}

TEST(WriterFaults, AFailedSourceIsReportedWhateverItsSegment) {
  testing_support::TemporaryFolder folder;
  ThreadPool pool(3);
  constexpr uint64_t kSegments = 20;
  for (uint64_t bad = 0; bad < kSegments; ++bad) {
    auto file = CreateFile(folder.Path("a.entro"));
    ASSERT_TRUE(file.ok());
    ArchiveWriter writer(std::move(*file), pool);
    ASSERT_TRUE(writer.Start().ok());
    ASSERT_TRUE(writer.BeginFile("f", 0444, 0).ok());
    ArchiveWriter::ExtentOptions options{.name = "t",
                                         .plain_bytes = kSegments * codec::kMinSegmentBytes,
                                         .segment_bytes = codec::kMinSegmentBytes,
                                         .layout = {},
                                         .planes = {codec::PlaneEncoder{}},
                                         .tables = {archive::kNoTable}};
    auto extent = writer.AddExtent(options, [&](uint64_t offset, MutableByteSpan out) -> Status {
      if (offset / codec::kMinSegmentBytes >= bad) {
        return Error{ErrorCode::kIo, "segment " + std::to_string(offset / codec::kMinSegmentBytes)};
      }
      std::fill(out.begin(), out.end(), 7);
      return OkStatus();
    });
    ASSERT_FALSE(extent.ok());
    EXPECT_EQ(extent.error().message, "segment " + std::to_string(bad)) << "the first in order, not in time";
    EXPECT_FALSE(writer.EndFile().ok()) << "nothing works after an error";
    EXPECT_FALSE(writer.Finish("", nullptr).ok());
  }
  EXPECT_EQ(folder.FileCount(), 0u);
}

TEST(WriterFaults, ASourceThatThrowsIsAnError) {
  ThreadPool pool(2);
  Bytes bytes;
  ArchiveWriter writer(std::make_unique<testing_support::MemoryNewFile>(&bytes), pool);
  ASSERT_TRUE(writer.Start().ok());
  ASSERT_TRUE(writer.BeginFile("f", 0444, 0).ok());
  ArchiveWriter::ExtentOptions options{.name = "t",
                                       .plain_bytes = 10,
                                       .segment_bytes = codec::kMinSegmentBytes,
                                       .layout = {},
                                       .planes = {codec::PlaneEncoder{}},
                                       .tables = {archive::kNoTable}};
  auto extent = writer.AddExtent(options, [](uint64_t, MutableByteSpan) -> Status { throw std::bad_alloc(); });
  ASSERT_FALSE(extent.ok());
  EXPECT_EQ(extent.error().code, ErrorCode::kNoMemory);
}

TEST(WriterFaults, AVerifierThatVetoesLeavesNoFile) {
  testing_support::TemporaryFolder folder;
  ThreadPool pool(2);
  {
    auto file = CreateFile(folder.Path("a.entro"));
    ASSERT_TRUE(file.ok());
    ArchiveWriter writer(std::move(*file), pool);
    auto result = testing_support::Write(MixedSample(10), writer, [&](const std::string& temporary_path) -> Status {
      auto temporary = OpenForReading(temporary_path);
      EXPECT_TRUE(temporary.ok());
      auto reader = ArchiveReader::Open(std::move(*temporary), "temporary");
      EXPECT_TRUE(reader.ok()) << "the verifier sees the complete archive";
      EXPECT_FALSE(std::filesystem::exists(folder.Path("a.entro")));
      return Error{ErrorCode::kCorrupt, "veto"};
    });
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message, "veto");
  }
  EXPECT_EQ(folder.FileCount(), 0u);
}

TEST(ReaderFaults, EveryFailedReadIsReportedAndReadAgainLater) {
  const Sample sample = MixedSample(400);
  const Bytes archive = testing_support::Pack(sample);
  const Error fault{ErrorCode::kIo, "Input/output error"};
  FaultPlan plan;
  for (uint64_t fail_at = 0;; ++fail_at) {
    plan.FailAt(fail_at, fault);
    auto memory = std::make_unique<testing_support::MemoryFile>(archive);
    auto reader =
        ArchiveReader::Open(std::make_unique<testing_support::FaultReadFile>(std::move(memory), &plan), "sample");
    if (reader.ok()) {
      auto contents = testing_support::ReadAll(**reader);
      if (contents.ok()) break;
      EXPECT_EQ(contents.error().code, ErrorCode::kIo);
      EXPECT_TRUE(contents.error().message.ends_with(fault.message)) << contents.error().message;
      plan.Heal();
      EXPECT_TRUE(testing_support::ReadAll(**reader).ok()) << fail_at;
    } else {
      EXPECT_EQ(reader.error().code, ErrorCode::kIo);
      EXPECT_EQ(reader.error().message, "sample: " + fault.message);
    }
  }
}

TEST(ReaderFaults, AFileThatShrinksIsAnError) {
  testing_support::TemporaryFolder folder;
  ThreadPool pool(2);
  auto file = CreateFile(folder.Path("a.entro"));
  ASSERT_TRUE(file.ok());
  ArchiveWriter writer(std::move(*file), pool);
  ASSERT_TRUE(testing_support::Write(MixedSample(400), writer).ok());
  auto reader = ArchiveReader::Open(std::move(*OpenForReading(folder.Path("a.entro"))), "a.entro");
  ASSERT_TRUE(reader.ok());
  std::filesystem::resize_file(folder.Path("a.entro"), 200);
  auto contents = testing_support::ReadAll(**reader);
  ASSERT_FALSE(contents.ok());
  EXPECT_NE(contents.error().message.find("file is shorter than"), std::string::npos) << contents.error().message;
}

}  // namespace
}  // namespace entrofs
