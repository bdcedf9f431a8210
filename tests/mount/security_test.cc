// What a daemon may do, and what it must not show.

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "archive/signature.h"
#include "tests/mount/mount_fixture.h"
#include "tests/support/sanitizers.h"
#include "tests/support/test_keys.h"

namespace entrofs::fs {
namespace {

// The rest of the line of a file under /proc that begins with `key`.
std::string ProcLine(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return "";
}

class SecurityTest : public MountTest {
 protected:
  std::string Proc(const std::string& file) { return "/proc/" + std::to_string(StatusNumber("pid")) + "/" + file; }

  void MakeKeys(const std::string& name) const {
    const std::string path = (folder_.path() / name).string();
    ASSERT_TRUE(testing_support::MakeKeys("ED25519", path, path + ".pub"));
  }
  std::string PublicKey(const std::string& name) const { return (folder_.path() / (name + ".pub")).string(); }

  void SignArchive(const std::string& name) const {
    ThreadPool pool(2);
    auto file = OpenForReading(archive_.string());
    auto key = archive::ReadPrivateKey((folder_.path() / name).string());
    ASSERT_TRUE(file.ok() && key.ok());
    auto signature = archive::Sign(**file, *key, pool, [](uint64_t) {});
    ASSERT_TRUE(signature.ok());
    std::ofstream(archive::SignaturePath(archive_.string()), std::ios::binary)
        .write(reinterpret_cast<const char*>(signature->data()), static_cast<std::streamsize>(signature->size()));
  }
};

TEST_F(SecurityTest, EveryThreadOfARootDaemonKeepsTwoCapabilitiesForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "an ordinary user's daemon has nothing to give up: run as root";
  if (testing_support::kUnderThreadSanitizer) {
    GTEST_SKIP() << "ThreadSanitizer has a thread of its own, from before main: run in another build";
  }
  Mount({ModelFile("model", 1, 300'000)}, {"--threads", "3"});
  (void)ReadFile(Path("model"));
  const uint64_t kept = uint64_t{1} << CAP_SYS_ADMIN | uint64_t{1} << CAP_DAC_READ_SEARCH;
  size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(Proc("task"))) {
    ++threads;
    const std::string status = task.path().string() + "/status";
    EXPECT_EQ(ProcLine(status, "NoNewPrivs:\t"), "1");
    for (const char* set : {"CapPrm:\t", "CapEff:\t", "CapBnd:\t", "CapInh:\t", "CapAmb:\t"}) {
      EXPECT_EQ(std::stoull(ProcLine(status, set), nullptr, 16) & ~kept, 0u) << set;
    }
  }
  EXPECT_GE(threads, 3u);
}

TEST_F(SecurityTest, CoreDumpsAreOffUnlessAskedFor) {
  for (bool asked : {false, true}) {
    Mount({ModelFile("model", 1, 1000)},
          asked ? std::vector<std::string>{"-o", "core_dumps"} : std::vector<std::string>{});
    std::istringstream limits(ProcLine(Proc("limits"), "Max core file size"));
    std::istringstream own(ProcLine("/proc/self/limits", "Max core file size"));
    std::string soft, hard, own_soft;
    limits >> soft >> hard;
    own >> own_soft;
    EXPECT_EQ(soft, asked ? own_soft : "0");
    if (!asked) {
      EXPECT_EQ(hard, "0");
    }
    std::istringstream files(ProcLine(Proc("limits"), "Max open files"));
    uint64_t descriptors = 0;
    files >> descriptors;
    EXPECT_LE(descriptors, 1024u);
    EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  }
}

TEST_F(SecurityTest, NothingShownCanBeWrittenByAnyone) {
  SampleFile model = ModelFile("sub/model", 1, 1000);
  model.mode = 0777;
  WriteArchive(archive_, {model});
  ASSERT_EQ(::chmod(archive_.c_str(), 0666), 0);
  ASSERT_EQ(MountAgain().code, 0);
  for (const char* path : {"", "sub", "sub/model"}) {
    struct stat info;
    ASSERT_EQ(::stat(Path(path).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07222, 0u) << path;
  }
}

TEST_F(SecurityTest, AnArchiveOnlyItsOwnerMayReadIsShownToItsOwnerOnly) {
  WriteArchive(archive_, {ModelFile("sub/model", 1, 1000)});
  ASSERT_EQ(::chmod(archive_.c_str(), 0600), 0);
  ASSERT_EQ(MountAgain().code, 0);
  for (const char* path : {"", "sub", "sub/model"}) {
    struct stat info;
    ASSERT_EQ(::stat(Path(path).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0077, 0u) << path;
  }
}

TEST_F(SecurityTest, ASignedArchiveIsServedAndAnUnsignedOneRefused) {
  MakeKeys("ours");
  MakeKeys("theirs");
  SampleFile model = ModelFile("model", 2, 400'000);
  WriteArchive(archive_, {model});
  const std::vector<std::string> required = {"--require-signature", PublicKey("ours")};
  Outcome outcome = MountAgain(required);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.output.find("model.entro.sig"), std::string::npos) << outcome.output;
  SignArchive("theirs");
  outcome = MountAgain(required);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.output.find("not made with this key"), std::string::npos) << outcome.output;
  SignArchive("ours");
  outcome = MountAgain({"-o", "require_signature=" + PublicKey("ours")});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
}

TEST_F(SecurityTest, BytesThatWereNotSignedAreEioThoughTheirChecksumsAreRight) {
  MakeKeys("ours");
  const SampleFile model{.path = "model", .extents = {{"t", testing_support::RandomBytes(400'000, 256, 1)}}};
  WriteArchive(archive_, {model});
  SignArchive("ours");
  const archive::ArchiveReader::StoredRange place = FindStored(archive_, "t", 3);
  ASSERT_EQ(MountAgain({"--require-signature", PublicKey("ours")}).code, 0);
  {  // A forger's work: another weight in a stored segment, and the checksum that belongs to it.
    std::fstream file(archive_, std::ios::in | std::ios::out | std::ios::binary);
    Bytes stored(place.stored_bytes);
    file.seekg(static_cast<std::streamoff>(place.archive_offset));
    file.read(reinterpret_cast<char*>(stored.data()), static_cast<std::streamsize>(stored.size()));
    stored.back() ^= 1;
    StoreLe<uint64_t>(stored.data(), Hash64(ByteSpan(stored).subspan(8), place.archive_offset));
    file.seekp(static_cast<std::streamoff>(place.archive_offset));
    file.write(reinterpret_cast<const char*>(stored.data()), static_cast<std::streamsize>(stored.size()));
  }
  const off_t offset = 3 * codec::kMinSegmentBytes + 5000;
  EXPECT_EQ(ErrorOfRead(Path("model"), offset), EIO);
  EXPECT_GE(StatusNumber("read_errors"), 1u);
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  EXPECT_EQ(MountAgain({"--require-signature", PublicKey("ours")}).code, 0) << "the index is untouched";
  EXPECT_EQ(ErrorOfRead(Path("model"), offset), EIO);
  EXPECT_EQ(ErrorOfRead(Path("model"), 0), 0);
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  EXPECT_EQ(MountAgain().code, 0);
  EXPECT_EQ(ErrorOfRead(Path("model"), offset), 0) << "nobody else would notice";
}

}  // namespace
}  // namespace entrofs::fs
