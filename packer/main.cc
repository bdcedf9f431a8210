#include "base/process_setup.h"
#include "packer/cli/cli.h"

int main(int argc, char** argv) {
  entrofs::SetUpProcess();
  return entrofs::packer::cli::RunProgram(argc, argv);
}
