#pragma once

#include <ostream>
#include <string>
#include <vector>

// The program entro-pack.
namespace entrofs::packer::cli {

struct Streams {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;  // whether to draw a progress bar there
};

// Runs `entro-pack <args>` and returns its exit code: 0 done, 1 failed, 2 wrong arguments. Errors are one line on err.
// Never throws.
int RunCli(const std::vector<std::string>& args, const Streams& streams) noexcept;

// RunCli with the process's own arguments and streams; on SIGINT, SIGTERM and SIGHUP removes what is unfinished and
// ends the process by that signal.
int RunProgram(int argc, char** argv);

}  // namespace entrofs::packer::cli
