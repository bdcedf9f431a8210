#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "packer/cli/cli.h"

namespace entrofs::testing_support {

struct CliResult {
  int code = 0;
  std::string out;
  std::string err;
};

// `entro-pack <args>` in this process.
inline CliResult RunEntroPack(const std::vector<std::string>& args, bool terminal = false) {
  std::ostringstream out, err;
  CliResult result;
  result.code = packer::cli::RunCli(args, {out, err, terminal});
  result.out = out.str();
  result.err = err.str();
  return result;
}

}  // namespace entrofs::testing_support
