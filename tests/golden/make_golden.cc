// Writes the golden archives and what they hold: make-golden FOLDER

#include <zstd.h>

#include <cstdio>

#include "base/file.h"
#include "tests/golden/golden_samples.h"

namespace entrofs::golden {
namespace {

Status WriteFile(const std::string& path, ByteSpan bytes) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, CreateFile(path));
  ENTROFS_RETURN_IF_ERROR(file->Append(bytes));
  return file->Commit();
}

Status WriteAll(const std::string& folder) {
  std::string expected =
      "# archive, size, XXH3-128, path of every virtual file, with views as VIEW:PATH. Made by make-golden with zstd ";
  expected += std::string(ZSTD_versionString()) + "\n";
  for (const GoldenSample& golden : GoldenSamples()) {
    const testing_support::Sample sample = golden.make();
    ENTROFS_RETURN_IF_ERROR(WriteFile(folder + "/" + golden.name + ".entro", testing_support::Pack(sample)));
    for (const auto& [path, content] : ContentsOf(sample)) {
      StreamHash128 hash;
      hash.Update(content);
      expected += golden.name + " " + std::to_string(content.size()) + " " + ToHex(hash.Digest()) + " " + path + "\n";
    }
  }
  return WriteFile(folder + "/expected.txt", AsBytes(expected));
}

}  // namespace
}  // namespace entrofs::golden

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make-golden FOLDER\n");
    return 2;
  }
  entrofs::Status status = entrofs::golden::WriteAll(argv[1]);
  if (!status) std::fprintf(stderr, "make-golden: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
