#include "packer/cli/cli.h"

int main(int argc, char** argv) { return entrofs::packer::cli::RunProgram(argc, argv); }
