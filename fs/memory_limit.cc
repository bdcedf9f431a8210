#include "fs/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

namespace entrofs::fs {
namespace {

// The process's group in the hierarchy that limits memory.
struct Group {
  std::string root;   // folder of the hierarchy
  std::string path;   // within, "/" or "/a/b"
  std::string limit;  // names of the files
  std::string usage;
};

std::optional<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number at the beginning; nothing for "max".
std::optional<uint64_t> ParseNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::optional<std::string> text = ReadText(path);
  return text ? ParseNumber(*text) : std::nullopt;
}

// The number behind `key`.
std::optional<uint64_t> FindNumber(std::string_view text, std::string_view key) {
  size_t at = text.find(key);
  return at == text.npos ? std::nullopt : ParseNumber(text.substr(at + key.size()));
}

// Lines of /proc/self/cgroup: "NUMBER:CONTROLLERS:PATH"; version 2 has number 0 and no controllers.
std::optional<Group> FindGroup(const MemoryPlaces& places) {
  std::istringstream lines(ReadText(places.proc + "/self/cgroup").value_or(""));
  std::optional<Group> group;
  for (std::string line; std::getline(lines, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (controllers.find(",memory,") != controllers.npos) {
      return Group{places.cgroups + "/memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes"};
    }
    if (controllers == ",,") group = Group{places.cgroups, path, "memory.max", "memory.current"};
  }
  return group;
}

// Calls `visit` with the folder of the group and of each group around it.
template <typename Visit>
void ForEachFolder(const Group& group, const Visit& visit) {
  std::string path = group.path == "/" ? "" : group.path;
  for (;;) {
    visit(group.root + path);
    if (path.empty()) return;
    path.resize(path.rfind('/') == path.npos ? 0 : path.rfind('/'));
  }
}

std::optional<uint64_t> Least(std::optional<uint64_t> a, std::optional<uint64_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// Where the kernel promises no more memory than there is (vm.overcommit_memory=2): what it may still promise.
std::optional<uint64_t> Uncommitted(const MemoryPlaces& places) {
  if (ReadNumber(places.proc + "/sys/vm/overcommit_memory") != 2) return std::nullopt;
  const std::string text = ReadText(places.proc + "/meminfo").value_or("");
  const std::optional<uint64_t> limit = FindNumber(text, "CommitLimit:"), committed = FindNumber(text, "Committed_AS:");
  if (!limit || !committed) return std::nullopt;
  return (*limit - std::min(*limit, *committed)) * 1024;
}

}  // namespace

std::optional<uint64_t> MemoryLimitBytes(const MemoryPlaces& places) {
  std::optional<uint64_t> least;
  std::optional<Group> group = FindGroup(places);
  if (!group) return std::nullopt;
  ForEachFolder(*group,
                [&](const std::string& folder) { least = Least(least, ReadNumber(folder + "/" + group->limit)); });
  // Version 1 says "no limit" with a huge number.
  std::optional<uint64_t> total_kb = FindNumber(ReadText(places.proc + "/meminfo").value_or(""), "MemTotal:");
  if (least && total_kb && *least >= *total_kb * 1024) return std::nullopt;
  return least;
}

std::optional<uint64_t> AvailableMemoryBytes(const MemoryPlaces& places) {
  std::optional<uint64_t> available = FindNumber(ReadText(places.proc + "/meminfo").value_or(""), "MemAvailable:");
  if (available) *available *= 1024;
  available = Least(available, Uncommitted(places));
  std::optional<Group> group = FindGroup(places);
  if (!group) return available;
  ForEachFolder(*group, [&](const std::string& folder) {
    std::optional<uint64_t> limit = ReadNumber(folder + "/" + group->limit);
    std::optional<uint64_t> usage = ReadNumber(folder + "/" + group->usage);
    // Page cache counts as used, but goes when memory is wanted.
    std::string stat = ReadText(folder + "/memory.stat").value_or("");
    uint64_t cached = FindNumber(stat, "\ninactive_file ").value_or(0) + FindNumber(stat, "\nactive_file ").value_or(0);
    if (limit && usage) available = Least(available, *limit - std::min(*limit, *usage - std::min(*usage, cached)));
  });
  return available;
}

std::optional<uint64_t> MemoryStallMicroseconds(const MemoryPlaces& places) {
  std::optional<Group> group = FindGroup(places);
  std::optional<std::string> text;
  if (group && group->path != "/") text = ReadText(group->root + group->path + "/memory.pressure");
  if (!text) text = ReadText(places.proc + "/pressure/memory");
  return text ? FindNumber(*text, "total=") : std::nullopt;  // of the first line, "some"
}

}  // namespace entrofs::fs
