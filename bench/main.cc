#include <iostream>

#include "bench/cli.h"

int main(int argc, char** argv) { return entrofs::bench::RunBench({argv + 1, argv + argc}, std::cout, std::cerr); }
