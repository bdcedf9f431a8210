// entro-make-sample: writes a checkpoint to try entrofs with.

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/process_setup.h"
#include "base/units.h"
#include "bench/sample_checkpoint.h"

namespace entrofs::bench {
namespace {

Result<packer::source::Dtype> ParseSampleDtype(std::string name) {
  for (char& letter : name) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  if (const auto dtype = packer::source::ParseDtype(name)) return *dtype;
  return Error{ErrorCode::kInvalidArgument, "--dtype: bf16, f16 or f32"};
}

Status MakeSample(SampleOptions options, const std::string& directory, const std::string& size,
                  const std::string& dtype) {
  ENTROFS_ASSIGN_OR_RETURN(options.size_bytes, ParseBytes(size));
  ENTROFS_ASSIGN_OR_RETURN(options.dtype, ParseSampleDtype(dtype));
  return WriteSampleCheckpoint(options, directory);
}

int Main(int argc, char** argv) {
  SampleOptions options;
  std::string directory, size = "64MB", dtype = "bf16";
  CLI::App app("Writes a made-up Llama checkpoint whose weights compress and quantize as real ones do.",
               "entro-make-sample");
  app.add_option("DIR", directory, "The checkpoint's directory: new or empty")->required();
  app.add_option("--size", size, "Bytes of all weights, about [64MB]");
  app.add_option("--dtype", dtype, "bf16, f16 or f32 [bf16]");
  app.add_option("--shards", options.shards, "Number of safetensors files [1]");
  app.add_option("--seed", options.seed, "Other numbers give other weights [1]");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  const Status status = MakeSample(options, directory, size, dtype);
  if (status) return 0;
  std::cerr << "entro-make-sample: " << status.error().message << "\n";
  return status.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace
}  // namespace entrofs::bench

int main(int argc, char** argv) {
  entrofs::SetUpProcess();
  return entrofs::bench::Main(argc, argv);
}
