#include <iostream>

#include "base/process_setup.h"
#include "fs/cli.h"

int main(int argc, char** argv) {
  entrofs::SetUpProcess();
  return entrofs::fs::RunCli(argv[0], std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr);
}
