#include <iostream>

#include "base/process_setup.h"
#include "bench/cli.h"

int main(int argc, char** argv) {
  entrofs::SetUpProcess();
  return entrofs::bench::RunBench({argv + 1, argv + argc}, std::cout, std::cerr);
}
