// Any bytes as what people and the system write: sizes, mount options, paths, a mount's status, the table of mounts.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "archive/format.h"
#include "archive/paths.h"
#include "base/units.h"
#include "fs/mount_options.h"
#include "fs/mount_table.h"
#include "fs/status.h"
#include "packer/source/utf8.h"

namespace entrofs::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void RunSize(std::string_view text) {
  auto bytes = ParseBytes(text);
  if (!bytes) return;
  Require(*bytes <= static_cast<uint64_t>(INT64_MAX));
  // Three digits are written, so what is read back is near.
  auto again = ParseBytes(FormatBytes(*bytes));
  if (*bytes >= 999'000'000'000'000) return;  // petabytes are written, but not read
  Require(again.ok());
  const double ratio = static_cast<double>(*again) / static_cast<double>(*bytes > 0 ? *bytes : 1);
  Require(*bytes == 0 ? *again == 0 : ratio > 0.98 && ratio < 1.02);
}

void RunMountOptions(std::string_view text) {
  fs::MountOptions options;
  if (!fs::ApplyMountOptions(text, options)) return;
  Require(options.max_read_bytes >= 4096 && options.max_read_bytes <= 1 << 20);
  Require(options.threads <= 1024);
  // Whatever is handed to the kernel is one of the words it may be handed.
  for (const std::string& option : options.kernel_options) Require(option == "noexec" || option == "dirsync");
}

void RunPath(std::string_view text) {
  const std::string printable = archive::Printable(text);
  for (char c : printable) Require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  if (!archive::IsSafePath(text)) return;
  Require(!text.empty() && text.front() != '/' && text.back() != '/' && text.size() <= archive::kMaxPathBytes);
  const std::string padded = "/" + std::string(text) + "/";
  Require(padded.find("/../") == std::string::npos && padded.find("/./") == std::string::npos &&
          padded.find("//") == std::string::npos && std::memchr(text.data(), 0, text.size()) == nullptr);
}

void RunStatus(std::string_view text) {
  auto status = fs::DecodeStatus(text);
  if (!status) return;
  Require(!fs::StatusAsJson(*status).empty());
  (void)fs::StatusAsText(*status);
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace entrofs;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::RunSize(text);
  fuzz::RunMountOptions(text);
  fuzz::RunPath(text);
  fuzz::RunStatus(text);
  (void)fs::FindMountIn(std::string(text), "/mnt/a b");
  if (auto bad = packer::source::FindInvalidUtf8(text)) fuzz::Require(*bad < size);
  return 0;
}
