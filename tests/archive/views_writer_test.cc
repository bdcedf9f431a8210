// Writing views: what readers would refuse is refused, and what is written takes little room.

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs {
namespace {

using archive::DerivedExtent;
using archive::Function;
using archive::Index;
using testing_support::Bytes;

class ViewWriter : public testing::Test {
 protected:
  ViewWriter() : pool_(1), writer_(std::make_unique<testing_support::MemoryNewFile>(&bytes_), pool_) {
    EXPECT_TRUE(writer_.Start().ok());
  }
  Result<archive::Extent> AddPool(size_t bytes) {
    archive::ArchiveWriter::ExtentOptions options;
    options.name = "codes";
    options.plain_bytes = bytes;
    options.planes = {{codec::CodecKind::kStored, nullptr}};
    options.tables = {archive::kNoTable};
    return writer_.AddPoolExtent(options, [](uint64_t, MutableByteSpan out) -> Status {
      std::fill(out.begin(), out.end(), uint8_t{7});
      return OkStatus();
    });
  }

  ThreadPool pool_;
  Bytes bytes_;
  archive::ArchiveWriter writer_;
};

TEST_F(ViewWriter, AFileOfAKnownHashMayHaveAnyExtents) {
  auto codes = AddPool(100);
  ASSERT_TRUE(codes.ok());
  auto handle = writer_.HandleOf(*codes);
  ASSERT_TRUE(handle.ok());
  DerivedExtent flip;
  flip.name = "flipped";
  flip.function = Function::kFlip;
  flip.plain_bytes = 100;
  flip.input = *handle;
  flip.mask = 0xff;
  auto flipped = writer_.AddDerived(flip);
  ASSERT_TRUE(flipped.ok());
  flip.name = "flipped again";
  EXPECT_EQ(*writer_.AddDerived(flip), *flipped) << "kept once";
  ASSERT_TRUE(writer_.BeginView("source").ok());
  archive::ViewFile file;
  file.path = "f";
  file.mode = 0644;
  file.extents = {*handle, *flipped, *flipped};
  ASSERT_TRUE(writer_.AddViewFile(file).ok());
  ASSERT_TRUE(writer_.EndView().ok());
  ASSERT_TRUE(writer_.NameTree("", "source").ok());
  ASSERT_TRUE(writer_.Finish("{}", nullptr).ok());
  auto reader = testing_support::Open(bytes_);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const archive::ViewFile& read = (*reader)->index().views.at(0).files.at(0);
  EXPECT_EQ(read.size_bytes, 300u);
  EXPECT_EQ(read.mode, 0444u);
  EXPECT_EQ(read.extents, (std::vector<uint32_t>{0, 1, 1}));
}

TEST_F(ViewWriter, RefusesWhatReadersWouldRefuse) {
  auto codes = AddPool(100);
  ASSERT_TRUE(codes.ok());
  archive::Extent other = *codes;
  other.index_archive_offset += 1;
  EXPECT_FALSE(writer_.HandleOf(other).ok());
  DerivedExtent copy;
  copy.function = Function::kCopy;
  copy.plain_bytes = 101;
  copy.input = *writer_.HandleOf(*codes);
  auto added = writer_.AddDerived(copy);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
  DerivedExtent literal;
  literal.plain_bytes = 3;
  literal.literal = {1, 2};
  EXPECT_FALSE(writer_.AddDerived(literal).ok());
  EXPECT_FALSE(writer_.NameTree("", "Not a name").ok());
}

TEST_F(ViewWriter, RefusesAPoolThatNothingUses) {
  ASSERT_TRUE(AddPool(100).ok());
  ASSERT_TRUE(writer_.NameTree("tree", "tree").ok());
  auto finished = writer_.Finish("{}", nullptr);
  ASSERT_FALSE(finished.ok());
  EXPECT_NE(finished.error().message.find("nothing uses"), std::string::npos) << finished.error().message;
}

TEST_F(ViewWriter, RefusesAnEmptyPoolExtentAndViewsWithoutNameTree) {
  EXPECT_FALSE(AddPool(0).ok());
  ASSERT_TRUE(writer_.BeginView("source").ok());
  ASSERT_TRUE(writer_.EndView().ok());
  EXPECT_FALSE(writer_.Finish("{}", nullptr).ok());
}

// Whether a new writer bears the calls.
bool Bears(const std::function<Status(archive::ArchiveWriter&)>& calls) {
  ThreadPool pool(1);
  Bytes bytes;
  archive::ArchiveWriter writer(std::make_unique<testing_support::MemoryNewFile>(&bytes), pool);
  return writer.Start().ok() && calls(writer).ok();
}

TEST(ViewWriterCalls, NamesPathsAndHandlesThatAreNoneAreRefused) {
  EXPECT_TRUE(Bears([](auto& writer) { return writer.BeginView("source"); }));
  EXPECT_FALSE(Bears([](auto& writer) { return writer.BeginView("Source"); }));
  EXPECT_FALSE(Bears([](auto& writer) -> Status {
    ENTROFS_RETURN_IF_ERROR(writer.BeginView("source"));
    ENTROFS_RETURN_IF_ERROR(writer.EndView());
    return writer.BeginView("source");
  }));
  EXPECT_FALSE(Bears([](auto& writer) -> Status {
    ENTROFS_RETURN_IF_ERROR(writer.BeginView("source"));
    return writer.BeginFile("../up", 0644, 0);
  }));
  EXPECT_FALSE(Bears([](auto& writer) -> Status {
    ENTROFS_RETURN_IF_ERROR(writer.BeginView("source"));
    archive::ViewFile file;
    file.path = "f";
    file.extents = {0};
    return writer.AddViewFile(file);
  }));
}

// A view of a model of many tensors, each dequantized.
Index LargeIndex(size_t tensors) {
  Index index;
  index.tree_name = "compressed-tensors";
  index.default_view = "source";
  index.files.push_back({.path = "model.safetensors", .hash = {}, .extents = {}});
  archive::View view{.name = "source", .directories = {}, .files = {}};
  view.files.push_back({.path = "model.safetensors", .extents = {}});
  uint64_t position = archive::kHeaderBytes;
  for (size_t i = 0; i < tensors; ++i) {
    const std::string name =
        "model.layers." + std::to_string(i / 7) + ".mlp.experts." + std::to_string(i % 7) + ".up_proj";
    const uint64_t rows = 1024 + 64 * (i % 5), columns = 2048;
    for (bool is_scale : {false, true}) {
      archive::Extent extent;
      extent.name = name + (is_scale ? ".weight_scale" : ".weight");
      extent.plain_bytes = is_scale ? rows * 2 : rows * columns;
      extent.segment_bytes = codec::kDefaultSegmentBytes;
      extent.planes = {{}};
      // Sizes that do not repeat, as those of compressed data.
      const uint64_t noise = (i * 0x9e3779b97f4a7c15ULL) >> 48;
      extent.stored_bytes = archive::AllIndexPagesBytes(extent.segment_count()) + extent.plain_bytes / 2 + noise % 1000;
      extent.index_archive_offset =
          position + extent.stored_bytes - archive::AllIndexPagesBytes(extent.segment_count());
      position += extent.stored_bytes;
      index.files[0].size_bytes += extent.plain_bytes;
      index.files[0].extents.push_back(extent);
    }
    DerivedExtent derived;
    derived.name = name + ".weight";
    derived.function = Function::kDequantize;
    derived.plain_bytes = rows * columns * 2;
    derived.matrix.codes = static_cast<uint32_t>(2 * i);
    derived.matrix.scales = static_cast<uint32_t>(2 * i + 1);
    derived.matrix.rows = rows;
    derived.matrix.columns = derived.matrix.row_bytes = derived.matrix.columns_per_scale = columns;
    view.files[0].extents.push_back(static_cast<uint32_t>(2 * tensors + i));
    view.files[0].size_bytes += derived.plain_bytes;
    index.derived.push_back(std::move(derived));
  }
  index.views.push_back(std::move(view));
  return index;
}

TEST(ViewsSize, AViewTakesAtMost64BytesOfIndexForATensor) {
  constexpr size_t kTensors = 20000;
  const Index index = LargeIndex(kTensors);
  Index without = index;
  without.tree_name = without.default_view = "";
  without.derived.clear();
  without.views.clear();
  const Bytes plain = archive::EncodeIndex(index);
  const size_t more =
      archive::CompressBlock(plain).size() - archive::CompressBlock(archive::EncodeIndex(without)).size();
  EXPECT_LE(more, 64 * kTensors);
  RecordProperty("bytes_per_tensor", std::to_string(static_cast<double>(more) / kTensors));
  const archive::Extent& last = index.files[0].extents.back();
  auto decoded = archive::DecodeIndex(
      plain, last.index_archive_offset + archive::AllIndexPagesBytes(last.segment_count()), archive::kViews);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_TRUE(decoded->views == index.views);
  EXPECT_TRUE(decoded->derived == index.derived);
  std::printf("%.1f bytes of index for each tensor of a view\n", static_cast<double>(more) / kTensors);
}

}  // namespace
}  // namespace entrofs
