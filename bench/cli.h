#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"

// entro-bench: measurements, each a subcommand.
namespace entrofs::bench {

// Runs `arguments` (without the program's name). Returns the exit code: 0 done, 1 failed (a decoder that returned wrong
// bytes, a file that could not be read), 2 wrong usage.
int RunBench(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

// One subcommand. `arguments` follow its name. kInvalidArgument: wrong usage.
using Command = Status (*)(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
Status RunCodecCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
Status RunMountCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
Status RunLoadCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace entrofs::bench
