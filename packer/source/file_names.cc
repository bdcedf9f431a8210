#include "packer/source/file_names.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace entrofs::packer::source {
namespace {

constexpr size_t kDigits = 5;

struct Part {
  std::string set;  // "model-*-of-00005.safetensors"
  unsigned number = 0;
  unsigned count = 0;
};

std::optional<unsigned> Number(std::string_view digits) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.size() != kDigits || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// "<before>-<5 digits>-of-<5 digits>.<suffix>".
std::optional<Part> ParsePart(const std::string& path) {
  constexpr std::string_view kOf = "-of-";
  const size_t of = path.rfind(kOf);
  if (of == std::string::npos || of < kDigits + 1 || path[of - kDigits - 1] != '-') return std::nullopt;
  const size_t after = of + kOf.size() + kDigits;
  if (after >= path.size() || path[after] != '.') return std::nullopt;
  const std::optional<unsigned> number = Number(std::string_view(path).substr(of - kDigits, kDigits));
  const std::optional<unsigned> count = Number(std::string_view(path).substr(of + kOf.size(), kDigits));
  if (!number || !count) return std::nullopt;
  return Part{path.substr(0, of - kDigits) + "*" + path.substr(of), *number, *count};
}

}  // namespace

bool HasSuffix(std::string_view path, std::string_view suffix) {
  if (path.size() < suffix.size()) return false;
  path.remove_prefix(path.size() - suffix.size());
  return std::equal(path.begin(), path.end(), suffix.begin(),
                    [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

bool IsLeavings(std::string_view name) {
  return name == ".git" || name == ".cache" || name == ".DS_Store" || name.starts_with("._");
}

std::vector<std::string> MissingParts(const std::vector<std::string>& paths) {
  std::map<std::pair<std::string, unsigned>, std::set<unsigned>> sets;
  for (const std::string& path : paths) {
    if (std::optional<Part> part = ParsePart(path)) sets[{part->set, part->count}].insert(part->number);
  }
  std::vector<std::string> lines;
  for (const auto& [set, numbers] : sets) {
    if (numbers.size() >= set.second) continue;
    lines.push_back(set.first + ": " + std::to_string(numbers.size()) + " of " + std::to_string(set.second) +
                    " parts " + (numbers.size() == 1 ? "is" : "are") + " packed; whoever loads the model needs all");
  }
  return lines;
}

std::string RepositoryOfSnapshot(const std::string& path) {
  const std::filesystem::path snapshots = std::filesystem::path(path).parent_path();
  const std::string repository = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !repository.starts_with("models--")) return "";
  return repository.substr(repository.rfind("--") + 2);
}

}  // namespace entrofs::packer::source
