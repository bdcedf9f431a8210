// The part of the index that has views: what it must not say is refused.

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/craft_archive.h"
#include "tests/support/sample_archive.h"

namespace entrofs {
namespace {

using archive::CodeForm;
using archive::CodeMatrix;
using archive::DerivedExtent;
using archive::FloatType;
using archive::Function;
using archive::Index;
using archive::kNoExtent;
using testing_support::Bytes;

class HostileViews : public testing::Test {
 protected:
  HostileViews()
      : archive_(testing_support::Pack(testing_support::ViewsSample(1))),
        index_((*testing_support::Open(archive_))->index()) {}

  // Opens the archive with its index changed; the message, or "" when it opens.
  std::string MessageWith(const std::function<void(Index&)>& change) const {
    Index changed = index_;
    change(changed);
    auto reader = testing_support::Open(testing_support::WithIndex(archive_, changed));
    return reader ? "" : reader.error().message;
  }
  void ExpectRefused(const std::string& part, const std::function<void(Index&)>& change) const {
    const std::string message = MessageWith(change);
    EXPECT_NE(message.find(part), std::string::npos) << "wanted: " << part << "\ngot: " << message;
  }
  // The same of the derived extent of that name.
  void ExpectRefused(const std::string& part, const std::string& name,
                     const std::function<void(DerivedExtent&)>& change) const {
    ExpectRefused(part, [&](Index& index) { change(Find(index, name)); });
  }
  static DerivedExtent& Find(Index& index, const std::string& name) {
    for (DerivedExtent& derived : index.derived) {
      if (derived.name == name) return derived;
    }
    ADD_FAILURE() << name;
    return index.derived.front();
  }

  const Bytes archive_;
  const Index index_;
};

TEST_F(HostileViews, TheUnchangedIndexOpens) {
  EXPECT_EQ(MessageWith([](Index&) {}), "");
  EXPECT_EQ(testing_support::FooterOf(archive_).features, archive::kViews);
}

TEST_F(HostileViews, Names) {
  for (const std::string& name : {std::string(), std::string("Source"), std::string("a b"), std::string("../up"),
                                  std::string("a\0b", 3), std::string(65, 'x')}) {
    ExpectRefused("view of an impossible name", [&](Index& index) {
      index.views[0].name = name;
      index.views.erase(index.views.begin() + 1, index.views.end());
    });
    if (!name.empty()) ExpectRefused("impossible name", [&](Index& index) { index.tree_name = name; });
    if (!name.empty()) ExpectRefused("default view", [&](Index& index) { index.default_view = name; });
  }
  ExpectRefused("without a name", [](Index& index) { index.tree_name = ""; });
  ExpectRefused("out of order or twice", [](Index& index) { index.views[0].name = index.views[1].name; });
  ExpectRefused("out of order or twice", [](Index& index) { index.views[0].name = index.tree_name; });
  ExpectRefused("out of order or twice", [](Index& index) { std::swap(index.views[0], index.views[1]); });
  EXPECT_EQ(MessageWith([](Index& index) { index.views[1].name = std::string(64, 'x'), index.default_view = "gguf"; }),
            "");
}

TEST_F(HostileViews, TreesOfFiles) {
  ExpectRefused("unsafe path", [](Index& index) { index.views[1].files[0].path = "../up"; });
  ExpectRefused("unsafe path", [](Index& index) { index.views[1].directories[0] = "/etc"; });
  ExpectRefused("out of order or twice",
                [](Index& index) { index.views[1].files[1].path = index.views[1].files[0].path; });
  ExpectRefused("both a file and a directory", [](Index& index) { index.views[1].directories[0] = "empty"; });
  ExpectRefused("mode", [](Index& index) { index.views[0].files[0].mode = 0644; });
  ExpectRefused("not the sum", [](Index& index) { index.views[0].files[0].size_bytes += 1; });
  ExpectRefused("extent that is not there", [](Index& index) { index.views[0].files[0].extents[0] = kNoExtent; });
  ExpectRefused("extent that is not there", [](Index& index) {
    const size_t count = archive::StoredExtents(index).size() + index.derived.size();
    index.views[0].files[0].extents[0] = static_cast<uint32_t>(count);
  });
}

TEST_F(HostileViews, NothingIsThereForNothing) {
  ExpectRefused("derived extent that nothing uses",
                [](Index& index) { index.derived.push_back(Find(index, "header")); });
  ExpectRefused("extent of the pool that nothing uses",
                [](Index& index) { Find(index, "c as Q4_1").matrix.zeros = Find(index, "c as Q4_1").matrix.scales; });
  ExpectRefused("empty extent in the pool", [](Index& index) {
    index.pool.push_back(index.pool[0]);
    index.pool.back().plain_bytes = index.pool.back().stored_bytes = index.pool.back().index_archive_offset = 0;
  });
  ExpectRefused("bytes that belong to no extent", [](Index& index) { index.pool.pop_back(); });
}

TEST_F(HostileViews, CopiesFlipsAndLiterals) {
  ExpectRefused("reaches past", "part of a", [](DerivedExtent& d) { d.offset_bytes = 8 * 64 - 99; });
  ExpectRefused("reaches past", "part of a", [](DerivedExtent& d) { d.offset_bytes = UINT64_MAX; });
  ExpectRefused("reaches past", "part of a", [](DerivedExtent& d) { d.plain_bytes = INT64_MAX; });
  ExpectRefused("impossible size", "part of a", [](DerivedExtent& d) { d.plain_bytes = 0; });
  ExpectRefused("impossible size", "part of a", [](DerivedExtent& d) { d.plain_bytes = UINT64_MAX; });
  ExpectRefused("not there", "part of a", [](DerivedExtent& d) { d.input = kNoExtent; });
  // A derived extent's number: only stored ones are inputs.
  ExpectRefused("not there", "part of a",
                [&](DerivedExtent& d) { d.input = static_cast<uint32_t>(archive::StoredExtents(index_).size()); });
  ExpectRefused("does not fit its input", "a as uint8", [](DerivedExtent& d) { d.plain_bytes -= 1; });
  ExpectRefused("does not fit its input", "a as uint8", [](DerivedExtent& d) { d.input = kNoExtent; });
  ExpectRefused("literal too long", "header", [](DerivedExtent& d) { d.plain_bytes = archive::kMaxLiteralBytes + 1; });
  ExpectRefused("unknown function", "header", [](DerivedExtent& d) { d.function = static_cast<Function>(6); });
  ExpectRefused("unknown function", "header", [](DerivedExtent& d) { d.function = static_cast<Function>(0); });
}

TEST_F(HostileViews, EveryFieldOfAMatrix) {
  const auto refused = [&](const std::string& part, const std::function<void(CodeMatrix&)>& change) {
    ExpectRefused(part, "b", [&](DerivedExtent& d) { change(d.matrix); });
  };
  for (uint32_t number : {kNoExtent, 1000u}) {
    refused("fit its codes", [&](CodeMatrix& m) { m.codes = number; });
    refused("fit its scales", [&](CodeMatrix& m) { m.scales = number; });
    refused("fit its zero points", [&](CodeMatrix& m) { m.zeros = number; });
  }
  refused("fit its codes", [](CodeMatrix& m) { m.codes = m.zeros; });
  refused("column scales", [](CodeMatrix& m) { m.column_scales = 1000; });
  refused("column scales", [](CodeMatrix& m) { m.column_scales = m.scales; });
  refused("unknown codes", [](CodeMatrix& m) { m.code_form = static_cast<CodeForm>(3); });
  refused("unknown codes", [](CodeMatrix& m) { m.zero_form = static_cast<archive::ZeroForm>(4); });
  refused("unknown codes", [](CodeMatrix& m) { m.scale_type = static_cast<FloatType>(3); });
  refused("fit its codes", [](CodeMatrix& m) { m.code_form = CodeForm::kI8; });
  refused("fit its scales", [](CodeMatrix& m) { m.scale_type = FloatType::kF16; });
  refused("does not use", [](CodeMatrix& m) { m.zero_form = archive::ZeroForm::kConstant; });
  refused("zero points", [](CodeMatrix& m) { m.zero_form = archive::ZeroForm::kBytes; });
  refused("zero points", [](CodeMatrix& m) { m.zero_form = archive::ZeroForm::kU8DownRows; });
  refused("zero points", [](CodeMatrix& m) { m.zero = 1; });
  for (int zero : {-129, 256, 32767, -32768}) {
    refused("impossible shape", [&](CodeMatrix& m) { m.zero = static_cast<int16_t>(zero); });
  }
  for (uint64_t size : {uint64_t{0}, uint64_t{1} << 32, uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX}) {
    refused(size == 0 ? "impossible shape" : "does not fit", [&](CodeMatrix& m) { m.rows = size; });
    refused(size == 0 ? "impossible shape" : "does not fit", [&](CodeMatrix& m) { m.columns = size; });
    refused("fit its codes", [&](CodeMatrix& m) { m.row_bytes = size; });
    refused("impossible shape", [&](CodeMatrix& m) { m.rows_per_scale = size; });
    refused("impossible shape", [&](CodeMatrix& m) { m.columns_per_scale = size; });
  }
  refused("fit its scales", [](CodeMatrix& m) { m.columns_per_scale = 21; });
  refused("fit its scales", [](CodeMatrix& m) { m.rows_per_scale = 2; });
  // Rows of few codes and many bytes would make a few numbers need any number of bytes.
  refused("fit its codes", [](CodeMatrix& m) { m.rows = 1, m.row_bytes = 8 * 12; });
  refused("size of its matrix", [](CodeMatrix& m) { m.columns = 20; });
  ExpectRefused("unknown numbers", "b", [](DerivedExtent& d) { d.output = static_cast<FloatType>(3); });
  ExpectRefused("size of its matrix", "b", [](DerivedExtent& d) { d.output = FloatType::kF32; });
  ExpectRefused("size of its matrix", "b", [](DerivedExtent& d) { d.plain_bytes += 1; });
}

TEST_F(HostileViews, EveryFieldOfBlocks) {
  const auto refused = [&](const std::string& part, const std::string& name,
                           const std::function<void(CodeMatrix&)>& change) {
    ExpectRefused(part, name, [&](DerivedExtent& d) { change(d.matrix); });
  };
  refused("whole blocks", "c as Q4_0", [](CodeMatrix& m) { m.columns = 62; });
  refused("fit its scales", "c as Q4_0", [](CodeMatrix& m) { m.columns_per_scale = 16; });
  refused("cannot hold", "c as Q4_0", [](CodeMatrix& m) { m.scale_type = FloatType::kBf16; });
  refused("cannot hold", "c as Q4_0", [](CodeMatrix& m) { m.column_scales = m.scales; });
  refused("cannot hold", "c as Q4_0", [](CodeMatrix& m) { m.zero_form = archive::ZeroForm::kBytes; });
  for (const char* name : {"c as Q4_0", "c as Q4_1", "a as Q8_0"}) {
    refused("fit its blocks", name, [](CodeMatrix& m) { m.zero = 7; });
    refused("fit its blocks", name, [&](CodeMatrix& m) { m.zeros = m.zeros == kNoExtent ? m.scales : kNoExtent; });
  }
  refused("fit its blocks", "c as Q4_1", [](CodeMatrix& m) { m.zeros = m.codes; });
  refused("fit its blocks", "a as Q8_0", [](CodeMatrix& m) { m.code_form = CodeForm::kU8; });
  ExpectRefused("unknown blocks", "a as Q8_0",
                [](DerivedExtent& d) { d.block_type = static_cast<archive::BlockType>(1); });
  ExpectRefused("size of its matrix", "a as Q8_0", [](DerivedExtent& d) { d.block_type = archive::BlockType::kQ4_0; });
  ExpectRefused("size of its matrix", "a as Q8_0", [](DerivedExtent& d) { d.plain_bytes -= 34; });
}

TEST_F(HostileViews, EveryTruncationOfTheIndexIsRefused) {
  const Bytes plain = testing_support::PlainIndexOf(archive_);
  const archive::Footer footer = testing_support::FooterOf(archive_);
  ASSERT_TRUE(archive::DecodeIndex(plain, footer.report.archive_offset, footer.features).ok());
  EXPECT_FALSE(archive::DecodeIndex(plain, footer.report.archive_offset, 0).ok()) << "without the flag";
  for (size_t size = 0; size < plain.size(); ++size) {
    const Bytes fresh(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(size));
    ASSERT_FALSE(archive::DecodeIndex(fresh, footer.report.archive_offset, footer.features).ok()) << size;
  }
}

TEST_F(HostileViews, CountsThatTheIndexCannotHoldAreRefused) {
  // Behind the stored tree and the pool: counts of derived extents and views.
  Index bare = index_;
  bare.views.clear();
  bare.derived.clear();
  bare.default_view = bare.tree_name;
  const size_t counts_at = archive::EncodeIndex(bare).size() - 4 - bare.tree_name.size() - 8;
  const archive::Footer footer = testing_support::FooterOf(archive_);
  for (size_t at : {counts_at, counts_at + 4}) {
    for (uint32_t count : {65u, 1u << 20, UINT32_MAX}) {
      Bytes plain = archive::EncodeIndex(bare);
      StoreLe<uint32_t>(plain.data() + at, count);
      EXPECT_FALSE(archive::DecodeIndex(plain, footer.report.archive_offset, archive::kViews).ok());
    }
  }
}

TEST_F(HostileViews, NumbersOfRecordsAreBounded) {
  ExpectRefused("view of too many extents",
                [](Index& index) { index.views[1].files[1].extents.assign(archive::kMaxViewExtents, 0); });
  // As many records as an index of that size could hold: the number alone is too much.
  Index bare = index_;
  bare.views.clear();
  bare.derived.clear();
  bare.default_view = bare.tree_name;
  Bytes plain = archive::EncodeIndex(bare);
  const size_t count_at = plain.size() - 4 - bare.tree_name.size() - 8;
  StoreLe<uint32_t>(plain.data() + count_at, static_cast<uint32_t>(archive::kMaxDerivedExtents + 1));
  plain.resize(plain.size() + 14 * (archive::kMaxDerivedExtents + 1));
  auto decoded =
      archive::DecodeIndex(plain, testing_support::FooterOf(archive_).report.archive_offset, archive::kViews);
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(decoded.error().message.find("too many derived extents"), std::string::npos) << decoded.error().message;
}

}  // namespace
}  // namespace entrofs
