// Runs a fuzz target on files, so that corpora are ordinary tests: fuzz-<target> [FILE|FOLDER]...
//
// Every file is also run cut short and with bytes changed, the same ones each time.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

size_t run_count = 0;

void Run(const std::vector<char>& bytes) {
  // An allocation of its own, of the exact size.
  std::vector<uint8_t> input(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
  ++run_count;
}

void RunVariants(const std::vector<char>& bytes) {
  constexpr size_t kVariants = 16;
  Run(bytes);
  uint64_t random = 0x9e3779b97f4a7c15 ^ bytes.size();
  for (size_t i = 0; i < kVariants && !bytes.empty(); ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    size_t at = static_cast<size_t>(random >> 20) % bytes.size();
    std::vector<char> changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (random >> 13 & 7)));
    if (i % 4 == 3) changed.resize(at);
    Run(changed);
  }
}

void RunPath(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) RunPath(entry.path());
    }
    return;
  }
  std::ifstream in(path, std::ios::binary);
  RunVariants(std::vector<char>(std::istreambuf_iterator<char>(in), {}));
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::exists(argv[i])) RunPath(argv[i]);
  }
  std::printf("%zu inputs\n", run_count);
  return run_count > 0 ? 0 : 1;
}
