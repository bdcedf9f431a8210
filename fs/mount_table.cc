#include "fs/mount_table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "base/bytes.h"

namespace entrofs::fs {
namespace {

// "\040" and the like stand for characters that would end a field.
std::string Unescape(std::string_view field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

// "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw": the mount point is the fifth field, type and source
// follow a lone dash.
std::optional<MountEntry> ParseLine(const std::string& line) {
  std::istringstream words(line);
  std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
  size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") ++dash;
  if (dash + 2 >= fields.size()) return std::nullopt;
  return MountEntry{Unescape(fields[4]), Unescape(fields[dash + 1]), Unescape(fields[dash + 2])};
}

}  // namespace

std::optional<MountEntry> FindMountIn(const std::string& mountinfo, const std::string& mount_point) {
  std::optional<MountEntry> found;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::optional<MountEntry> entry = ParseLine(line);
    if (entry && entry->mount_point == mount_point) found = std::move(entry);  // later lines lie on top
  }
  return found;
}

std::optional<MountEntry> FindMount(const std::string& mount_point) {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  return FindMountIn(text.str(), mount_point);
}

std::optional<uint64_t> MountIdAt(const std::string& path) {
  // STATX_MNT_ID_UNIQUE and stx_mnt_id, which are younger than Debian 12's headers.
  constexpr unsigned kMountIdUnique = 0x4000;
  constexpr size_t kMountIdPlace = 0x90;
  struct statx info = {};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(AT_FDCWD, path.c_str(), kFlags, kMountIdUnique, &info) != 0) return std::nullopt;
  if ((info.stx_mask & kMountIdUnique) == 0) return std::nullopt;
  return LoadLe<uint64_t>(reinterpret_cast<const uint8_t*>(&info) + kMountIdPlace);
}

std::string ResolveMountPoint(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::canonical(path, error);
  if (!error) return whole.string();
  std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // a slash at the end
  std::filesystem::path folder = std::filesystem::canonical(absolute.parent_path(), error);
  return (error ? absolute : folder / absolute.filename()).string();
}

}  // namespace entrofs::fs
