#include "packer/cli/cli.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <system_error>
#include <thread>

#include "base/version.h"
#include "codec/codec.h"
#include "packer/cli/command.h"
#include "packer/read/unfinished.h"

namespace entrofs::packer::cli {
namespace {

constexpr std::array kCommands = {
    Command{"create", "pack a checkpoint into an archive", RunCreate},
    Command{"analyze", "show what every scheme would make of a checkpoint, before packing it", RunAnalyze},
    Command{"inspect", "show what an archive holds and what each tensor costs", RunInspect},
    Command{"list", "list the files of an archive", RunList},
    Command{"verify", "check every byte of an archive", RunVerify},
    Command{"extract", "write an archive's files to a directory", RunExtract},
    Command{"sign", "sign an archive with an Ed25519 key", RunSign},
    Command{"verify-signature", "check an archive against its signature", RunVerifySignature},
};

void PrintHelp(std::ostream& out) {
  out << "entro-pack makes and inspects entropy-coded archives of model checkpoints.\n\n"
         "usage: entro-pack COMMAND [OPTIONS]\n\ncommands:\n";
  for (const Command& command : kCommands) {
    out << "  " << command.name << std::string(18 - std::string_view(command.name).size(), ' ') << command.summary
        << "\n";
  }
  out << "\nexamples:\n"
         "  entro-pack create ./Llama-3-8B -o llama.entro                 lossless: every file comes back as it was\n"
         "  entro-pack create ./Llama-3-8B -o llama8.entro --quant uint8  8-bit weights, about 5.5 bits each\n"
         "  entro-pack analyze ./Llama-3-8B                               what each scheme would take and lose\n"
         "  entro-pack inspect llama.entro\n"
         "  entro-pack verify llama.entro --source ./Llama-3-8B\n"
         "  entrofs mount llama.entro /mnt/llama                          read it without unpacking\n"
         "\n'entro-pack COMMAND --help' explains a command.\n";
}

int Dispatch(const std::vector<std::string>& args, const Streams& streams) {
  if (args.empty()) {
    PrintHelp(streams.err);
    return kUsage;
  }
  const std::string& name = args[0];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(streams.out);
    return kOk;
  }
  if (name == "--version" || name == "-V") {
    streams.out << "entro-pack " << Version() << "\n";
    return kOk;
  }
  if (Status kernels = codec::CheckKernelsVariable(); !kernels) {
    streams.err << "entro-pack: " << kernels.error().message << "\n";
    return kUsage;
  }
  for (const Command& command : kCommands) {
    if (name == command.name) return command.run({args.begin() + 1, args.end()}, streams);
  }
  streams.err << "entro-pack: there is no command '" << name << "'; see entro-pack --help\n";
  return kUsage;
}

// Waits for a signal that ends the program, cleans up in ordinary thread context, and lets the signal do its work.
void WatchSignals(sigset_t signals) {
  int signal_number = 0;
  while (sigwait(&signals, &signal_number) != 0) {
  }
  read::RemoveUnfinished();
  ::signal(signal_number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  ::kill(::getpid(), signal_number);
}

// True when standard output is a pipe that nobody reads any more, as after `| head`.
bool ReaderHasLeft() {
  pollfd output = {STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace

int RunCli(const std::vector<std::string>& args, const Streams& streams) noexcept {
  try {
    const int code = Dispatch(args, streams);
    streams.out.flush();
    if (code != kOk || streams.out) return code;
    return ReaderHasLeft() ? kFailed : Fail(streams, Error{ErrorCode::kIo, "cannot write to standard output"});
  } catch (const std::bad_alloc&) {
    streams.err << "entro-pack: out of memory\n";
  } catch (const std::exception& e) {
    streams.err << "entro-pack: " << e.what() << "\n";
  }
  return kFailed;
}

int RunProgram(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  // Every thread inherits this, so only the watcher sees them.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    std::thread(WatchSignals, signals).detach();
  } catch (const std::system_error& error) {
    std::cerr << "entro-pack: cannot start a thread (limits: ulimit -u, TasksMax= of a service): "
              << error.code().message() << "\n";
    return kFailed;
  }
  return RunCli({argv + 1, argv + argc}, {std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1});
}

}  // namespace entrofs::packer::cli
