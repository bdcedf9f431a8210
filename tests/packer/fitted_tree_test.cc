#include "packer/fitted_tree.h"

#include <gtest/gtest.h>

#include "packer/quantization_summary.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer {
namespace {

using testing_support::TemporaryFolder;
using testing_support::WriteLlama;

// A model so small that scales and tables are a tenth of it.
class FittedTreeTest : public testing::Test {
 protected:
  FittedTreeTest() { WriteLlama(folder_.Path("source"), Dtype::kF32, /*shards=*/false); }

  PackResult PackFitted(const quantize::Options& options) {
    Result<Checkpoint> checkpoint = OpenCheckpoint(folder_.Path("source"));
    EXPECT_TRUE(checkpoint.ok());
    Result<OutputTree> tree = FittedTree(*checkpoint, options, {}, pool_);
    EXPECT_TRUE(tree.ok()) << tree.error().message;
    warnings_ = tree->warnings;
    NoProgress progress;
    Result<PackResult> packed = RehearsePacking(*tree, {}, Rehearsal::kExact, pool_, progress);
    EXPECT_TRUE(packed.ok());
    return *packed;
  }

  TemporaryFolder folder_;
  ThreadPool pool_{2};
  std::vector<std::string> warnings_;
};

TEST_F(FittedTreeTest, MeetsARateWithinHalfAPercentInASmallModel) {
  for (double bits : {2.0, 3.5, 4.0}) {
    quantize::Options options;
    options.scheme = quantize::Scheme::kRate;
    options.bits_per_weight = bits;
    const PackResult packed = PackFitted(options);
    EXPECT_NEAR(SummarizeQuantization(packed.report)->bits_per_weight(), bits, 0.005 * bits);
    EXPECT_TRUE(warnings_.empty());
  }
}

// Several small matrices, one after another on the trellis, make an extent.
TEST_F(FittedTreeTest, MeetsARateOnTrellises) {
  quantize::Options options;
  options.scheme = quantize::Scheme::kRate;
  for (double bits : {1.2, 3.5}) {
    options.bits_per_weight = bits;
    options.trellis = false;
    const double plain_db = SummarizeQuantization(PackFitted(options).report)->error.SqnrDb();
    options.trellis = true;
    const PackResult packed = PackFitted(options);
    EXPECT_NEAR(SummarizeQuantization(packed.report)->bits_per_weight(), bits, 0.005 * bits);
    EXPECT_GT(SummarizeQuantization(packed.report)->error.SqnrDb(), plain_db + 0.5);
    EXPECT_TRUE(warnings_.empty());
  }
}

TEST_F(FittedTreeTest, MeetsASizeWithinHalfAPercentInASmallModel) {
  quantize::Options options;
  options.scheme = quantize::Scheme::kRate;
  options.bits_per_weight = 5;
  const uint64_t bytes = PackFitted(options).archive_bytes;
  options.archive_bytes = bytes;
  EXPECT_NEAR(static_cast<double>(PackFitted(options).archive_bytes), static_cast<double>(bytes),
              0.005 * static_cast<double>(bytes));
}

TEST_F(FittedTreeTest, WarnsOfARateOutOfReachInTheUsersTerms) {
  quantize::Options options;
  options.scheme = quantize::Scheme::kRate;
  options.bits_per_weight = 0.1;
  PackFitted(options);
  for (const std::string& warning : warnings_) EXPECT_NE(warning.find("not 0.100"), std::string::npos) << warning;
}

TEST_F(FittedTreeTest, LeavesOtherSchemesAsTheyAre) {
  quantize::Options options;
  options.scheme = quantize::Scheme::kUint8;
  EXPECT_EQ(*SummarizeQuantization(PackFitted(options).report)->schemes.begin(), "uint8");
}

}  // namespace
}  // namespace entrofs::packer
