// The real entro-pack as a process: signals and kills leave no partial file.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using testing_support::TemporaryFolder;
using testing_support::WriteFile;

class Process {
 public:
  explicit Process(std::vector<std::string> args) {
    args.insert(args.begin(), std::string(ENTROFS_BIN_DIR) + "/entro-pack");
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      int null = ::open("/dev/null", O_RDWR);
      for (int fd : {0, 1, 2}) ::dup2(null, fd);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  void Signal(int number) const { ::kill(pid_, number); }
  int Wait() const {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

// Runs a shell's line with the programs of this build; returns what waitpid tells.
int Shell(const std::string& line) { return std::system(("PATH='" ENTROFS_BIN_DIR "':\"$PATH\"; " + line).c_str()); }

void SleepFor(double milliseconds) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

// A checkpoint that takes a while.
class EntroPackProcess : public testing::Test {
 protected:
  void SetUp() override {
    std::string weights = testing_support::Weights("w", packer::source::Dtype::kBf16, {1024, 1024}, 1).bytes;
    std::vector<testing_support::SampleTensor> tensors;
    for (int i = 0; i < 8; ++i) {
      weights[0] = static_cast<char>(i);
      tensors.push_back({"w" + std::to_string(i), packer::source::Dtype::kBf16, {1024, 1024}, weights});
    }
    WriteFile(source_ + "/model.safetensors", testing_support::SafetensorsFile(tensors));
  }

  std::string FilesBeside() const {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(output_)) {
      names += entry.path().filename().string() + " ";
    }
    return names;
  }

  TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string output_ = (std::filesystem::create_directory(folder_.Path("out")), folder_.Path("out"));
  const std::string archive_ = output_ + "/a.entro";
};

TEST_F(EntroPackProcess, WithoutOutputTheArchiveIsNamedLikeTheSourceAndLiesHere) {
  ASSERT_EQ(Shell("cd '" + output_ + "' && entro-pack create ../source/ >../log"), 0);
  EXPECT_EQ(FilesBeside(), "source.entro ");
  ASSERT_EQ(Shell("cd '" + output_ + "' && entro-pack create ../source/model.safetensors >../log"), 0);
  EXPECT_EQ(testing_support::RunEntroPack({"verify", output_ + "/model.entro"}).code, 0);
  EXPECT_EQ(WEXITSTATUS(Shell("cd '" + source_ + "' && entro-pack create . 2>../log")), 2) << "inside the source";
  // As the hub's cache has it: the file's name is the link's, the model's that of the repository.
  const std::string cache = folder_.Path("models--meta--llama");
  ASSERT_EQ(Shell("mkdir -p '" + cache + "/blobs' '" + cache + "/snapshots/1234' && cp '" + source_ +
                  "/model.safetensors' '" + cache + "/blobs/abcd' && ln -s ../../blobs/abcd '" + cache +
                  "/snapshots/1234/weights.safetensors'"),
            0);
  ASSERT_EQ(Shell("cd '" + output_ + "' && entro-pack create ../models--meta--llama/snapshots/1234 >../log && " +
                  "entro-pack create ../models--meta--llama/snapshots/1234/weights.safetensors >../log"),
            0);
  EXPECT_TRUE(std::filesystem::exists(output_ + "/llama.entro"));
  EXPECT_TRUE(std::filesystem::exists(output_ + "/weights.entro"));
}

TEST_F(EntroPackProcess, SaysThatOutputIsFullButNothingWhenItsReaderHasLeft) {
  EXPECT_EQ(WEXITSTATUS(Shell("entro-pack --help 2>'" + folder_.Path("full") + "' >/dev/full")), 1);
  EXPECT_NE(std::filesystem::file_size(folder_.Path("full")), 0u);
  EXPECT_EQ(Shell("(sleep 0.2; entro-pack --help 2>'" + folder_.Path("left") + "') | true"), 0);
  EXPECT_EQ(std::filesystem::file_size(folder_.Path("left")), 0u);
}

TEST_F(EntroPackProcess, ClosedDescriptorsChangeNoByte) {
  ASSERT_EQ(Shell("entro-pack create '" + source_ + "' -o '" + folder_.Path("open.entro") + "' >/dev/null"), 0);
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    EXPECT_EQ(Shell("entro-pack create '" + source_ + "' -o '" + archive_ + "' " + closed + " 3>&-"), 0) << closed;
    EXPECT_EQ(Shell("cmp '" + archive_ + "' '" + folder_.Path("open.entro") + "'"), 0) << closed;
    EXPECT_EQ(Shell("entro-pack verify '" + archive_ + "' " + closed), 0) << closed;
    EXPECT_EQ(Shell("entro-pack extract '" + archive_ + "' '" + output_ + "/files' " + closed), 0) << closed;
    EXPECT_EQ(testing_support::Difference(source_, output_ + "/files"), "") << closed;
    std::filesystem::remove_all(output_);
    std::filesystem::create_directory(output_);
  }
}

TEST_F(EntroPackProcess, LimitsOfTheShellAreErrorsThatLeaveNothing) {
  const std::string archive = folder_.Path("a.entro");
  const std::string log = folder_.Path("log");
  ASSERT_EQ(Shell("entro-pack create '" + source_ + "' -o '" + archive + "' >/dev/null"), 0);
  const std::string create = "entro-pack create '" + source_ + "' -o '" + archive_ + "'";
  const std::string quantize = create + " --bits-per-weight 4";
  const std::string extract = "entro-pack extract '" + archive + "' '" + output_ + "/files'";
  for (const std::string& command : {create, quantize, extract}) {
    const int status = Shell("ulimit -f 1000; exec " + command + " >'" + log + "' 2>&1");
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << command;
    EXPECT_EQ(Shell("grep -q 'File too large' '" + log + "'"), 0) << command;
    EXPECT_EQ(FilesBeside(), "") << command;
  }
}

TEST_F(EntroPackProcess, FewDescriptorsAreErrorsThatLeaveNothing) {
  if (testing_support::kUnderAddressSanitizer) {
    GTEST_SKIP() << "needs a build without sanitizers, which open descriptors of their own to look at memory";
  }
  const std::string archive = folder_.Path("a.entro");
  const std::string log = folder_.Path("log");
  ASSERT_EQ(Shell("entro-pack create '" + source_ + "' -o '" + archive + "' >/dev/null"), 0);
  const std::string create = "entro-pack create '" + source_ + "' -o '" + archive_ + "'";
  const std::string extract = "entro-pack extract '" + archive + "' '" + output_ + "/files'";
  for (int most = 3; most < 12; ++most) {
    for (const std::string& command : {create, extract}) {
      const int status = Shell("exec >'" + log + "' 2>&1; ulimit -n " + std::to_string(most) + "; exec " + command);
      ASSERT_TRUE(WIFEXITED(status)) << most << " " << command;
      if (WEXITSTATUS(status) == 0) {
        EXPECT_NE(FilesBeside(), "") << most << " " << command;
      } else {
        EXPECT_EQ(FilesBeside(), "") << most << " " << command;
      }
      std::filesystem::remove_all(output_);
      std::filesystem::create_directory(output_);
    }
  }
}

TEST_F(EntroPackProcess, SignalsRemoveTheUnfinishedArchive) {
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    Process process({"create", source_, "-o", archive_});
    while (FilesBeside().empty()) SleepFor(1);
    process.Signal(number);
    const int status = process.Wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
      GTEST_SKIP() << "packing was faster than the signal: run again on a machine that is less busy";
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), number);
    EXPECT_EQ(FilesBeside(), "");
  }
}

TEST_F(EntroPackProcess, SignalsRemoveTheUnfinishedExtraction) {
  const std::string archive = folder_.Path("a.entro");
  ASSERT_EQ(testing_support::RunEntroPack({"create", source_, "-o", archive}).code, 0);
  Process process({"extract", archive, output_ + "/target"});
  while (FilesBeside().empty()) SleepFor(1);
  process.Signal(SIGINT);
  const int status = process.Wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    GTEST_SKIP() << "extracting was faster than the signal: run again on a machine that is less busy";
  EXPECT_EQ(WTERMSIG(status), SIGINT);
  EXPECT_EQ(FilesBeside(), "");
}

// Rounds of the test below; ENTROFS_KILL_ROUNDS sets another number.
int KillRounds() {
  const char* rounds = std::getenv("ENTROFS_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : 20;
}

TEST_F(EntroPackProcess, KillsNeverLeaveAPartialFileUnderTheFinalName) {
  std::mt19937 random(1);
  const std::string target = output_ + "/target";
  const std::string whole = folder_.Path("whole.entro");
  // How long each takes when left alone decides over which time the kills are spread.
  auto milliseconds_of = [&](const std::vector<std::string>& args) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(Process(args).Wait(), 0);
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  const double create_ms = milliseconds_of({"create", source_, "-o", whole, "--no-verify"});
  const double extract_ms = milliseconds_of({"extract", whole, target});
  auto any_moment_of = [&](double milliseconds) { return 1.1 * milliseconds * double(random() % 10'000) / 10'000; };
  int created = 0, extracted = 0;
  for (int i = 0; i < KillRounds(); ++i) {
    std::filesystem::remove_all(output_);
    std::filesystem::create_directory(output_);
    Process create({"create", source_, "-o", archive_, "--no-verify"});
    SleepFor(any_moment_of(create_ms));
    create.Signal(SIGKILL);
    create.Wait();
    if (std::filesystem::exists(archive_)) {
      ++created;
      EXPECT_EQ(testing_support::RunEntroPack({"verify", archive_, "--source", source_}).code, 0);
    }
    Process extract({"extract", whole, target});
    SleepFor(any_moment_of(extract_ms));
    extract.Signal(SIGKILL);
    extract.Wait();
    if (std::filesystem::exists(target)) {
      ++extracted;
      EXPECT_EQ(testing_support::Difference(source_, target), "");
    }
  }
  std::printf("%d kills each: %d archives and %d directories were complete, the others not there\n", KillRounds(),
              created, extracted);
}

TEST_F(EntroPackProcess, ExitCodesReachTheShell) {
  auto code = [](const std::vector<std::string>& args) { return WEXITSTATUS(Process(args).Wait()); };
  EXPECT_EQ(code({"--help"}), 0);
  EXPECT_EQ(code({"verify", "/nonexistent"}), 1);
  EXPECT_EQ(code({"nonsense"}), 2);
}

}  // namespace
}  // namespace entrofs
