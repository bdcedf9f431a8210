#include "packer/cli/terminal_progress.h"

#include <algorithm>

#include "base/units.h"

namespace entrofs::packer::cli {
namespace {

constexpr size_t kBarWidth = 30;
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr const char* kWipeLine = "\r\x1b[K";

}  // namespace

TerminalProgress::~TerminalProgress() { out_ << kWipeLine << std::flush; }

void TerminalProgress::Start(const std::string& what, uint64_t total_bytes) {
  std::lock_guard lock(mutex_);
  what_ = what;
  total_bytes_ = total_bytes;
  done_bytes_ = 0;
  started_ = Clock::now();
  Draw(started_);
}

void TerminalProgress::Advance(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  done_bytes_ = std::min(done_bytes_ + bytes, total_bytes_);
  const Clock::time_point now = Clock::now();
  if (now - drawn_ >= kInterval) Draw(now);
}

void TerminalProgress::Draw(Clock::time_point now) {
  drawn_ = now;
  const double share = total_bytes_ == 0 ? 1 : static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_);
  const size_t filled = static_cast<size_t>(share * kBarWidth);
  const double seconds = std::chrono::duration<double>(now - started_).count();
  out_ << kWipeLine << what_ << " [" << std::string(filled, '#') << std::string(kBarWidth - filled, '.') << "] "
       << static_cast<int>(100 * share) << " %  " << FormatBytes(done_bytes_) << " of " << FormatBytes(total_bytes_)
       << "  " << FormatRate(done_bytes_, seconds) << std::flush;
}

}  // namespace entrofs::packer::cli
