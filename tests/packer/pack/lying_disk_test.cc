// A disk that stores other bytes than it was given: create notices before the archive gets its name.

#include <gtest/gtest.h>

#include "packer/pack/pack.h"
#include "packer/read/verify.h"
#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/syscall_faults.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::pack {
namespace {

using testing_support::Fault;

class LyingDisk : public testing::Test {
 protected:
  void SetUp() override {
    testing_support::WriteLlama(source_, source::Dtype::kBf16, true);
    auto checkpoint = source::OpenCheckpoint(source_);
    ASSERT_TRUE(checkpoint.ok());
    tree_ = tree::LosslessTree(*checkpoint);
  }

  // Packs with write number `at` storing other bytes; false when there was no such write.
  bool PackWithLie(uint64_t at, bool verify) {
    std::filesystem::remove(archive_);
    PackOptions options;
    options.verify = verify;
    testing_support::StartFaults(at, Fault::kCorrupt, 0);
    auto result = Pack(tree_, archive_, options, pool_, progress_);
    packed_ = result.ok();
    return testing_support::StopFaults().happened;
  }

  testing_support::TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string archive_ = folder_.Path("a.entro");
  tree::OutputTree tree_;
  ThreadPool pool_{2};
  read::NoProgress progress_;
  bool packed_ = false;
};

TEST_F(LyingDisk, IsNoticedBeforeTheArchiveHasItsName) {
  uint64_t lies = 0;
  for (; PackWithLie(lies, true); ++lies) {
    EXPECT_FALSE(packed_) << lies;
    EXPECT_FALSE(std::filesystem::exists(archive_)) << lies;
    EXPECT_EQ(folder_.FileCount(), 1u) << lies;
  }
  EXPECT_TRUE(packed_);
  EXPECT_GE(lies, 1u);
}

TEST_F(LyingDisk, IsNotNoticedWithoutVerifying) {
  uint64_t lies = 0;
  for (; PackWithLie(lies, false); ++lies) {
    EXPECT_TRUE(packed_) << lies;
    EXPECT_FALSE(read::VerifyArchive(archive_, pool_, progress_).ok()) << lies;
  }
  EXPECT_GE(lies, 1u);
}

TEST_F(LyingDisk, IsNoticedByCreateUnlessItShallNotVerify) {
  std::vector<std::string> create = {"create", source_, "-o", archive_};
  testing_support::StartFaults(0, Fault::kCorrupt, 0);
  EXPECT_EQ(testing_support::RunEntroPack(create).code, 1);
  EXPECT_TRUE(testing_support::StopFaults().happened);
  EXPECT_FALSE(std::filesystem::exists(archive_));
  create.push_back("--no-verify");
  testing_support::StartFaults(0, Fault::kCorrupt, 0);
  EXPECT_EQ(testing_support::RunEntroPack(create).code, 0);
  EXPECT_TRUE(testing_support::StopFaults().happened);
}

}  // namespace
}  // namespace entrofs::packer::pack
