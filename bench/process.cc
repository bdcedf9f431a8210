#include "bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/file.h"

namespace entrofs::bench {
namespace {

volatile sig_atomic_t interrupted = 0;

constexpr int kInterruptSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr double kPatienceSeconds = 5;

void OnInterrupt(int) { interrupted = 1; }

void BecomeChild(pid_t parent) {
  for (int signal : kInterruptSignals) ::signal(signal, SIG_DFL);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);
}

// fork() for a child that signals end from its first moment: none comes while our handler is still in place there.
// The child's process group is its own, and it goes when this process goes.
pid_t Fork() {
  sigset_t ends, before;
  sigemptyset(&ends);
  for (int signal : kInterruptSignals) sigaddset(&ends, signal);
  ::sigprocmask(SIG_BLOCK, &ends, &before);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) BecomeChild(parent);
  if (pid > 0) ::setpgid(pid, pid);  // the child does it as well: whoever comes first
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

int ExitCode(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// A file without a name that takes what a program prints.
int OpenOutput() { return ::memfd_create("output", MFD_CLOEXEC); }

// In the child, between fork and exec.
[[noreturn]] void Execute(const std::vector<char*>& arguments, const std::vector<char*>& environment, int output) {
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::execvpe(arguments[0], arguments.data(), environment.data());
  ::_exit(127);
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> OurEnvironmentAnd(const std::vector<std::string>& more) {
  std::vector<std::string> all = more;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

// What the child of MeasureInChild leaves behind, in memory shared with it.
struct Outcome {
  bool done;
  bool ok;
  Sample sample;
  ErrorCode code;
  char message[500];
};

void Report(const Result<Sample>& result, Outcome& outcome) {
  outcome.ok = result.ok();
  if (result.ok()) {
    outcome.sample = *result;
  } else {
    outcome.code = result.error().code;
    std::strncpy(outcome.message, result.error().message.c_str(), sizeof outcome.message - 1);
  }
  outcome.done = true;
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = OnInterrupt;
  for (int signal : kInterruptSignals) ::sigaction(signal, &action, nullptr);
}

bool Interrupted() { return interrupted != 0; }

Status CheckInterrupted() {
  if (Interrupted()) return Error{ErrorCode::kCancelled, "interrupted"};
  return OkStatus();
}

Result<Process> Process::Start(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  const int output = OpenOutput();
  if (output < 0) return SystemError("cannot create a file in memory", errno);
  std::vector<std::string> words = arguments, settings = OurEnvironmentAnd(environment);
  const std::vector<char*> argv = Pointers(words), envp = Pointers(settings);
  const pid_t pid = Fork();
  if (pid == 0) Execute(argv, envp, output);
  if (pid < 0) {
    ::close(output);
    return SystemError("cannot start " + arguments[0], errno);
  }
  return Process(pid, output);
}

Process::~Process() {
  Stop();
  if (output_ >= 0) ::close(output_);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), output_(std::exchange(other.output_, -1)), exit_code_(other.exit_code_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(output_, other.output_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

double Process::CpuSeconds() const {
  clockid_t clock;
  timespec now;
  if (pid_ < 0 || exit_code_ || ::clock_getcpuclockid(pid_, &clock) != 0) return 0;
  if (::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::optional<int> Process::Poll() {
  int status = 0;
  if (!exit_code_ && pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = ExitCode(status);
  return exit_code_;
}

bool Process::Wait(double seconds) {
  const double end = NowSeconds() + seconds;
  while (!Poll() && NowSeconds() < end) ::usleep(2000);
  return exit_code_.has_value();
}

void Process::Stop() {
  if (pid_ < 0 || Poll()) return;
  ::kill(-pid_, SIGTERM);
  if (Wait(kPatienceSeconds)) return;
  ::kill(-pid_, SIGKILL);
  Wait(kPatienceSeconds);
}

std::string Process::Output(size_t limit_bytes) const {
  std::string text(limit_bytes, 0);
  const ssize_t count = output_ < 0 ? 0 : ::pread(output_, text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Status RunProgram(const std::vector<std::string>& arguments) {
  ENTROFS_ASSIGN_OR_RETURN(Process process, Process::Start(arguments));
  while (!process.Wait(0.1)) ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
  if (*process.Poll() == 0) return OkStatus();
  return Error{ErrorCode::kIo,
               arguments[0] + ": exit code " + std::to_string(*process.Poll()) + ": " + process.Output()};
}

bool HaveProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    if (::access((folders.substr(begin, end - begin) + "/" + name).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

Result<Sample> MeasureInChild(const std::function<Result<Sample>()>& measure, double timeout_seconds) {
  void* shared = ::mmap(nullptr, sizeof(Outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return SystemError("cannot share memory", errno);
  auto& outcome = *static_cast<Outcome*>(shared);
  const pid_t child = Fork();
  if (child == 0) {
    Report(measure(), outcome);
    ::_exit(0);
  }
  int status = 0;
  pid_t ended = 0;
  WaitUntil([&] { return (ended = ::waitpid(child, &status, WNOHANG)) != 0; }, timeout_seconds);
  if (ended == 0) {
    ::kill(child, SIGKILL);
    WaitUntil([&] { return ::waitpid(child, &status, WNOHANG) != 0; }, kPatienceSeconds);
  }
  const Outcome copy = outcome;
  ::munmap(shared, sizeof(Outcome));
  ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
  if (copy.done && copy.ok) return copy.sample;
  if (copy.done) return Error{copy.code, copy.message};
  if (ended == 0) return Error{ErrorCode::kIo, "no answer within the time allowed"};
  return Error{ErrorCode::kIo, "the reader died by signal " + std::to_string(WTERMSIG(status))};
}

double NowSeconds() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

bool WaitUntil(const std::function<bool()>& done, double seconds) {
  const double end = NowSeconds() + seconds;
  while (!done()) {
    if (Interrupted() || NowSeconds() > end) return false;
    ::usleep(1000);
  }
  return true;
}

}  // namespace entrofs::bench
