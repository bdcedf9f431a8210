#include "fs/status.h"

#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

#include "base/file.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"

namespace entrofs::fs {
namespace {

constexpr size_t kMaxStatusBytes = 64 << 10;

// Tabs and line ends separate fields, so a path must not bring its own.
std::string OneField(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::string JsonString(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

const CounterInfo* FindInfo(std::string_view name) {
  for (const CounterInfo& info : kCounterInfo) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::string_view TakeUntil(std::string_view& text, char end) {
  size_t at = std::min(text.find(end), text.size());
  std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

}  // namespace

std::string EncodeStatus(const MountStatus& status) {
  std::string text;
  for (const auto& [key, value] : status.facts) text += key + '\t' + OneField(value) + '\n';
  text += '\n';
  for (const auto& [name, value] : status.counters) text += name + '\t' + std::to_string(value) + '\n';
  return text;
}

Result<MountStatus> DecodeStatus(std::string_view text) {
  MountStatus status;
  bool in_facts = true;
  while (!text.empty()) {
    std::string_view line = TakeUntil(text, '\n');
    if (line.empty()) {
      in_facts = false;
      continue;
    }
    std::string key(TakeUntil(line, '\t'));
    if (in_facts) {
      status.facts.emplace_back(std::move(key), line);
      continue;
    }
    uint64_t value = 0;
    auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || end != line.data() + line.size()) {
      return Error{ErrorCode::kCorrupt, "status: '" + key + "' is not followed by a number"};
    }
    status.counters.emplace_back(std::move(key), value);
  }
  return status;
}

Result<MountStatus> ReadStatus(const std::string& mount_point) {
  std::string text(kMaxStatusBytes, '\0');
  std::optional<MountEntry> entry = FindMount(ResolveMountPoint(mount_point));
  std::string folder = (entry ? PlainFolderOf(*entry) : std::nullopt).value_or(mount_point);
  ssize_t size = ::getxattr(folder.c_str(), kStatusAttribute, text.data(), text.size());
  if (size < 0 && (errno == ENODATA || errno == ENOTSUP)) {
    return Error{ErrorCode::kNotFound, mount_point + ": not an entrofs mount"};
  }
  if (size < 0) return SystemError("cannot ask " + mount_point, errno);
  text.resize(static_cast<size_t>(size));
  return DecodeStatus(text);
}

std::string StatusAsText(const MountStatus& status) {
  std::string text;
  char line[256];
  for (const auto& [key, value] : status.facts) {
    std::snprintf(line, sizeof line, "%-20s ", key.c_str());
    text += line + value + '\n';
  }
  for (const auto& [name, value] : status.counters) {
    const CounterInfo* info = FindInfo(name);
    std::snprintf(line, sizeof line, "%-20s %16llu %-11s  %s\n", name.c_str(), static_cast<unsigned long long>(value),
                  info ? std::string(info->unit).c_str() : "", info ? std::string(info->meaning).c_str() : "");
    text += line;
  }
  return text;
}

std::string StatusAsJson(const MountStatus& status) {
  std::string text = "{";
  std::string_view separator = "\n";
  for (const auto& [key, value] : status.facts) {
    text += std::string(separator) + "  " + JsonString(key) + ": " + JsonString(value);
    separator = ",\n";
  }
  for (const auto& [name, value] : status.counters) {
    text += std::string(separator) + "  " + JsonString(name) + ": " + std::to_string(value);
    separator = ",\n";
  }
  return text + "\n}\n";
}

}  // namespace entrofs::fs
