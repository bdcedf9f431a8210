#pragma once

#include <string>

#include "base/result.h"

namespace entrofs::fs {

// A process that goes into the background once it is ready. The caller's process waits until then, so whatever the
// user types next finds the service up, and errors on the way are the command's errors.
class Daemon {
 public:
  // Forks. In the parent: waits for the child and returns its outcome, is_parent() true. In the child: returns at once,
  // without the descriptors and locks that the program inherited.
  // Call before any thread is started.
  static Result<Daemon> Fork();

  bool is_parent() const { return is_parent_; }

  // In the child, once: detaches from the terminal and lets the parent return success.
  void Ready();
  // In the child, instead: lets the parent return this error, and keeps the child from printing it once more.
  void Failed(const Error& error);

 private:
  void Report(const std::string& text);
  Daemon(bool is_parent, int pipe) : is_parent_(is_parent), pipe_(pipe) {}

  bool is_parent_;
  int pipe_;  // open in the child until Ready or Failed
};

}  // namespace entrofs::fs
