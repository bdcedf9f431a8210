// Views read from an archive hold what exact arithmetic makes of what is stored, whatever range is asked for.

#include "view/view_reader.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/craft_archive.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs::view {
namespace {

using testing_support::Bytes;
using testing_support::Sample;

class ViewReaderTest : public testing::Test {
 protected:
  explicit ViewReaderTest(size_t scale = 300) : sample_(testing_support::ViewsSample(scale)) {
    archive_ = testing_support::Pack(sample_);
    reader_ = std::move(*testing_support::Open(archive_));
  }

  const Sample sample_;
  Bytes archive_;
  std::unique_ptr<archive::ArchiveReader> reader_;
};

Bytes ReadWhole(const ViewReader& view, const File& file) {
  Bytes content(file.size_bytes);
  ViewReader::Scratch scratch;
  const Status status = view.ReadRange(file, 0, scratch, content);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return content;
}

TEST_F(ViewReaderTest, EveryViewHoldsItsFiles) {
  for (const testing_support::SampleView& wanted : sample_.views) {
    auto view = ViewReader::Open(*reader_, wanted.name);
    ASSERT_TRUE(view.ok()) << view.error().message;
    ASSERT_EQ((*view)->files().size(), wanted.files.size());
    EXPECT_EQ((*view)->directories(), wanted.directories);
    for (size_t i = 0; i < wanted.files.size(); ++i) {
      const File& file = (*view)->files()[i];
      EXPECT_EQ(file.path, wanted.files[i].path);
      EXPECT_EQ(file.mode, 0444u);
      EXPECT_EQ(file.mtime_ns, wanted.files[i].mtime_ns);
      const Bytes content = ReadWhole(**view, file);
      EXPECT_TRUE(content == sample_.Content(wanted.files[i])) << file.path;
      StreamHash128 hash;
      hash.Update(content);
      EXPECT_EQ(hash.Digest(), file.hash) << file.path;
    }
  }
}

TEST_F(ViewReaderTest, TheStoredTreeIsAViewToo) {
  auto view = ViewReader::Open(*reader_, "compressed-tensors");
  ASSERT_TRUE(view.ok());
  ASSERT_EQ((*view)->files().size(), sample_.files.size());
  for (size_t i = 0; i < sample_.files.size(); ++i) {
    EXPECT_TRUE(ReadWhole(**view, (*view)->files()[i]) == sample_.files[i].Content());
  }
}

TEST_F(ViewReaderTest, AnArchiveWithoutViewsHasOne) {
  const Sample sample = testing_support::MixedSample(3);
  auto reader = testing_support::Open(testing_support::Pack(sample));
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(ViewNames((*reader)->index()).empty());
  auto view = ViewReader::Open(**reader, "");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ((*view)->name(), "");
  for (size_t i = 0; i < sample.files.size(); ++i) {
    EXPECT_TRUE(ReadWhole(**view, (*view)->files()[i]) == sample.files[i].Content());
  }
  auto none = ViewReader::Open(**reader, "source");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ViewReaderTest, NamesBeginWithTheDefault) {
  EXPECT_EQ(ViewNames(reader_->index()), (std::vector<std::string>{"source", "compressed-tensors", "gguf"}));
  EXPECT_EQ((*ViewReader::Open(*reader_, ""))->name(), "source");
  auto none = ViewReader::Open(*reader_, "mlx");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(none.error().message.find("source, compressed-tensors, gguf"), std::string::npos) << none.error().message;
}

TEST_F(ViewReaderTest, AnyRangeOfAFile) {
  for (const char* name : {"source", "gguf"}) {
    auto view = ViewReader::Open(*reader_, name, 100);
    ASSERT_TRUE(view.ok());
    const File& file = (*view)->files().back();
    const Bytes content = ReadWhole(**view, file);
    ViewReader::Scratch scratch;
    const Bytes noise = testing_support::RandomBytes(16 * 300, 256, 5);
    for (size_t i = 0; i < 300; ++i) {
      const uint64_t offset = LoadLe<uint64_t>(noise.data() + 16 * i) % content.size();
      const size_t longest = std::min<size_t>(content.size() - offset, i % 3 == 0 ? 300000 : 300);
      Bytes part(LoadLe<uint64_t>(noise.data() + 16 * i + 8) % longest + 1);
      ASSERT_TRUE((*view)->ReadRange(file, offset, scratch, part).ok());
      ASSERT_TRUE(std::equal(part.begin(), part.end(), content.begin() + static_cast<ptrdiff_t>(offset))) << offset;
    }
    Bytes part(2);
    EXPECT_FALSE((*view)->ReadRange(file, file.size_bytes - 1, scratch, part).ok());
    EXPECT_FALSE((*view)->ReadRange(file, UINT64_MAX, scratch, part).ok());
    EXPECT_TRUE((*view)->ReadRange(file, file.size_bytes, scratch, MutableByteSpan()).ok());
  }
}

TEST_F(ViewReaderTest, SegmentsMakeUpTheFileAndFollowTheirCodes) {
  auto view = ViewReader::Open(*reader_, "source");
  ASSERT_TRUE(view.ok());
  const File& file = (*view)->files().back();
  const Bytes content = ReadWhole(**view, file);
  ViewReader::Scratch scratch;
  uint64_t offset = 0;
  for (const ViewExtent& extent : file.extents) {
    EXPECT_EQ(extent.file_offset_bytes, offset);
    for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) {
      Bytes plain(extent.SegmentBytes(segment));
      ASSERT_TRUE((*view)->ReadSegment(extent, segment, scratch, plain).ok());
      ASSERT_TRUE(std::equal(plain.begin(), plain.end(), content.begin() + static_cast<ptrdiff_t>(offset)));
      offset += plain.size();
    }
  }
  EXPECT_EQ(offset, content.size());
  // int8 codes of 64 KiB segments as BF16.
  const ViewExtent& a = file.extents[1];
  ASSERT_EQ(a.name(), "a");
  EXPECT_EQ(a.segment_bytes, 2 * codec::kMinSegmentBytes);
  std::vector<std::pair<std::string, uint64_t>> used;
  (*view)->VisitStored(
      a, 1, [&](const archive::Extent& extent, uint64_t segment) { used.emplace_back(extent.name, segment); });
  EXPECT_EQ(used, (std::vector<std::pair<std::string, uint64_t>>{{"a.weight", 1}, {"a.weight_scale", 0}}));
}

TEST_F(ViewReaderTest, TheSameExtentHasTheSameNumberInEveryView) {
  auto packed = ViewReader::Open(*reader_, "compressed-tensors");
  auto gguf = ViewReader::Open(*reader_, "gguf");
  ASSERT_TRUE(packed.ok() && gguf.ok());
  EXPECT_EQ((*packed)->files()[1].extents[1].number, (*gguf)->files()[0].extents.back().number);
}

TEST_F(ViewReaderTest, ManyThreadsReadAtOnce) {
  auto view = ViewReader::Open(*reader_, "source", 1);
  ASSERT_TRUE(view.ok());
  const File& file = (*view)->files().back();
  const Bytes content = ReadWhole(**view, file);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      ViewReader::Scratch scratch;
      Bytes part(70000);
      for (size_t i = 0; i < 20; ++i) {
        const size_t offset = (i * 37 + static_cast<size_t>(t) * 91) * 1009 % (content.size() - part.size());
        const bool ok = (*view)->ReadRange(file, offset, scratch, part).ok() &&
                        std::equal(part.begin(), part.end(), content.begin() + static_cast<ptrdiff_t>(offset));
        if (!ok) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ViewReaderTest, DamageOfAnyInputIsNoticedAndNamed) {
  for (const char* name : {"a.weight", "a.weight_scale", "b.zeros"}) {
    const archive::Extent* damaged = nullptr;
    archive::ForEachExtent(reader_->index(), [&](const archive::Extent& extent) {
      if (extent.name == name) damaged = &extent;
    });
    ASSERT_NE(damaged, nullptr);
    Bytes broken = archive_;
    broken[archive::BeginArchiveOffset(*damaged) + 30] ^= 1;
    auto reader = testing_support::Open(broken);
    ASSERT_TRUE(reader.ok());
    auto view = ViewReader::Open(**reader, "source");
    ASSERT_TRUE(view.ok());
    const File& file = (*view)->files().back();
    Bytes content(file.size_bytes);
    ViewReader::Scratch scratch;
    const Status status = (*view)->ReadRange(file, 0, scratch, content);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    EXPECT_TRUE(status.error().message.starts_with("sub/model.safetensors: sample: " + std::string(name) + " segment"))
        << status.error().message;
  }
}

// Everything the archive shows in any view, or the first error.
Status ReadAllViews(const Bytes& archive) {
  ENTROFS_ASSIGN_OR_RETURN(auto reader, testing_support::Open(archive));
  ENTROFS_ASSIGN_OR_RETURN(std::string report, reader->ReadReport());
  for (const std::string& name : ViewNames(reader->index())) {
    ENTROFS_ASSIGN_OR_RETURN(auto view, ViewReader::Open(*reader, name));
    ViewReader::Scratch scratch;
    for (const File& file : view->files()) {
      Bytes content(file.size_bytes);
      ENTROFS_RETURN_IF_ERROR(view->ReadRange(file, 0, scratch, content));
    }
  }
  return OkStatus();
}

TEST(ViewCorruption, EverySingleBitFlipIsNoticed) {
  Bytes archive = testing_support::Pack(testing_support::ViewsSample(1));
  ASSERT_LT(archive.size(), 6000u);
  ASSERT_TRUE(ReadAllViews(archive).ok());
  for (size_t bit = 0; bit < 8 * archive.size(); ++bit) {
    archive[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    ASSERT_FALSE(ReadAllViews(archive).ok()) << "bit " << bit % 8 << " of byte " << bit / 8;
    archive[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
}

TEST(ViewCorruption, EveryByteOfTheIndexMayBeAnything) {
  const Bytes archive = testing_support::Pack(testing_support::ViewsSample(1));
  const Bytes plain = testing_support::PlainIndexOf(archive);
  for (size_t at = 0; at < plain.size(); ++at) {
    for (int value : {0x00, 0x01, 0x7f, 0x80, 0xff, plain[at] + 1, plain[at] - 1}) {
      Bytes changed = plain;
      changed[at] = static_cast<uint8_t>(value);
      (void)ReadAllViews(testing_support::WithPlainIndex(archive, changed));
    }
  }
}

}  // namespace
}  // namespace entrofs::view
