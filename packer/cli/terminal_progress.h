#pragma once

#include <chrono>
#include <mutex>
#include <ostream>
#include <string>

#include "packer/read/progress.h"

namespace entrofs::packer::cli {

// A progress bar on one line of a terminal, drawn a few times a second and wiped when the work is over.
class TerminalProgress : public read::Progress {
 public:
  explicit TerminalProgress(std::ostream& out) : out_(out) {}
  ~TerminalProgress() override;

  void Start(const std::string& what, uint64_t total_bytes) override;
  void Advance(uint64_t bytes) override;

 private:
  using Clock = std::chrono::steady_clock;
  void Draw(Clock::time_point now);

  std::ostream& out_;
  std::mutex mutex_;
  std::string what_;
  uint64_t total_bytes_ = 0;
  uint64_t done_bytes_ = 0;
  Clock::time_point started_;
  Clock::time_point drawn_;
};

}  // namespace entrofs::packer::cli
