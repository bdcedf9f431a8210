#pragma once

#include <signal.h>

namespace entrofs::fs {

// As long as it lives, keeps the signals that end the daemon away from the threads started meanwhile, so that they
// reach the main thread.
class EndSignalsBlocked {
 public:
  EndSignalsBlocked() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  ~EndSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignalsBlocked(const EndSignalsBlocked&) = delete;
  EndSignalsBlocked& operator=(const EndSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace entrofs::fs
