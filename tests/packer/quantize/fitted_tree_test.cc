#include "packer/quantize/fitted_tree.h"

#include <gtest/gtest.h>

#include "packer/report/quantization_summary.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::quantize {
namespace {

using testing_support::TemporaryFolder;
using testing_support::WriteLlama;

// A model so small that scales and tables are a tenth of it.
class FittedTreeTest : public testing::Test {
 protected:
  FittedTreeTest() { WriteLlama(folder_.Path("source"), source::Dtype::kF32, /*shards=*/false); }

  pack::PackResult PackFitted(const Options& options) {
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(folder_.Path("source"));
    EXPECT_TRUE(checkpoint.ok());
    Result<tree::OutputTree> tree = FittedTree(*checkpoint, options, {}, pool_);
    EXPECT_TRUE(tree.ok()) << tree.error().message;
    warnings_ = tree->warnings;
    read::NoProgress progress;
    Result<pack::PackResult> packed = pack::RehearsePacking(*tree, {}, pack::Rehearsal::kExact, pool_, progress);
    EXPECT_TRUE(packed.ok());
    return *packed;
  }

  TemporaryFolder folder_;
  ThreadPool pool_{2};
  std::vector<std::string> warnings_;
};

TEST_F(FittedTreeTest, MeetsARateWithinHalfAPercentInASmallModel) {
  for (double bits : {2.0, 3.5, 4.0}) {
    Options options;
    options.scheme = Scheme::kRate;
    options.bits_per_weight = bits;
    const pack::PackResult packed = PackFitted(options);
    EXPECT_NEAR(report::SummarizeQuantization(packed.report)->bits_per_weight(), bits, 0.005 * bits);
    EXPECT_TRUE(warnings_.empty());
  }
}

// Several small matrices, one after another on the trellis, make an extent.
TEST_F(FittedTreeTest, MeetsARateOnTrellises) {
  Options options;
  options.scheme = Scheme::kRate;
  for (double bits : {1.2, 3.5}) {
    options.bits_per_weight = bits;
    options.trellis = false;
    const double plain_db = report::SummarizeQuantization(PackFitted(options).report)->error.SqnrDb();
    options.trellis = true;
    const pack::PackResult packed = PackFitted(options);
    EXPECT_NEAR(report::SummarizeQuantization(packed.report)->bits_per_weight(), bits, 0.005 * bits);
    EXPECT_GT(report::SummarizeQuantization(packed.report)->error.SqnrDb(), plain_db + 0.5);
    EXPECT_TRUE(warnings_.empty());
  }
}

TEST_F(FittedTreeTest, MeetsASizeWithinHalfAPercentInASmallModel) {
  Options options;
  options.scheme = Scheme::kRate;
  options.bits_per_weight = 5;
  const uint64_t bytes = PackFitted(options).archive_bytes;
  options.archive_bytes = bytes;
  EXPECT_NEAR(static_cast<double>(PackFitted(options).archive_bytes), static_cast<double>(bytes),
              0.005 * static_cast<double>(bytes));
}

TEST_F(FittedTreeTest, WarnsOfARateOutOfReachInTheUsersTerms) {
  Options options;
  options.scheme = Scheme::kRate;
  options.bits_per_weight = 0.1;
  PackFitted(options);
  for (const std::string& warning : warnings_) EXPECT_NE(warning.find("not 0.100"), std::string::npos) << warning;
}

TEST_F(FittedTreeTest, LeavesOtherSchemesAsTheyAre) {
  Options options;
  options.scheme = Scheme::kUint8;
  EXPECT_EQ(*report::SummarizeQuantization(PackFitted(options).report)->schemes.begin(), "uint8");
}

}  // namespace
}  // namespace entrofs::packer::quantize
