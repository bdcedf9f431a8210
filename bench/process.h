#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

// Other programs, started for as long as a measurement needs them.
namespace entrofs::bench {

// From now on SIGINT, SIGTERM and SIGHUP do not end this process: they make Interrupted() true and interrupt waiting
// calls, so that whoever holds mounts and files takes them away on the way out.
void CatchInterrupts();
bool Interrupted();
// kCancelled when Interrupted().
Status CheckInterrupted();

// A running program. It is ended when this object goes, and by the system when this process dies.
class Process {
 public:
  // Starts arguments[0], looked up in PATH, in a process group of its own; what it prints is kept. `environment`
  // ("NAME=value") is added to ours.
  static Result<Process> Start(const std::vector<std::string>& arguments,
                               const std::vector<std::string>& environment = {});
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  pid_t pid() const { return pid_; }
  // CPU time of all its threads so far, ended ones included; 0 when it has ended.
  double CpuSeconds() const;
  // The exit code (128 + signal when killed) if it has ended.
  std::optional<int> Poll();
  // Waits, at most `seconds`; false when it still runs.
  bool Wait(double seconds);
  // SIGTERM, and SIGKILL where that does not help within some seconds.
  void Stop();
  // The first `limit_bytes` of what it printed, without line ends at the end.
  std::string Output(size_t limit_bytes = 600) const;

 private:
  Process(pid_t pid, int output) : pid_(pid), output_(output) {}
  pid_t pid_ = -1;
  int output_ = -1;
  std::optional<int> exit_code_;
};

// Runs a program to its end. An exit code other than 0 is kIo with what it printed.
Status RunProgram(const std::vector<std::string>& arguments);
// Whether PATH has it.
bool HaveProgram(const std::string& name);

// Wall and CPU time of something.
struct Sample {
  double seconds = 0;
  double cpu_seconds = 0;
  uint64_t bytes = 0;
};

// Runs `measure` in a child process: a fresh address space, and a mount that fails or hangs takes only the child down.
// kIo when the child dies or takes longer than `timeout_seconds`.
Result<Sample> MeasureInChild(const std::function<Result<Sample>()>& measure, double timeout_seconds);

double NowSeconds();
// Until `done`, looking every few milliseconds; false after `seconds` or when interrupted.
bool WaitUntil(const std::function<bool()>& done, double seconds);

}  // namespace entrofs::bench
