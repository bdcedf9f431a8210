#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace entrofs::fs {

// Runs `entrofs ARGS...`. Results go to `out`, messages to `err`. Returns the exit code: 0 done, 1 failed, 2 the
// command line makes no sense. `program` is the name it was called by; as "mount.entrofs" it takes the arguments
// mount(8) gives its helpers.
int RunCli(const std::string& program, std::vector<std::string> args, std::ostream& out, std::ostream& err);

}  // namespace entrofs::fs
