#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Paths of virtual files and directories. An archive comes from strangers: nothing in it may name a place outside the
// directory it is mounted at or extracted to.
namespace entrofs::archive {

// True for a relative path without empty, "." or ".." parts, NUL or other control characters (bytes below 0x20 and
// 0x7f). At most kMaxPathBytes long, parts at most kMaxPathPartBytes.
bool IsSafePath(std::string_view path);

// `text` with control characters replaced and cut to a readable length, so that what a stranger wrote fits in one line
// of a message.
std::string Printable(std::string_view text);

// The set of paths of an archive under construction. Refuses unsafe paths, files given twice, and files that are also
// directories (kInvalidArgument). Not thread-safe.
class PathSet {
 public:
  Status AddFile(const std::string& path);
  // Giving a directory again, or one that a file implies, is no error.
  Status AddDirectory(const std::string& path);
  // Directories that no other path implies, sorted.
  std::vector<std::string> EmptyDirectories() const;

 private:
  Status Check(const std::string& path, bool is_directory) const;

  std::set<std::string> files_;
  std::set<std::string> directories_;
};

// Checks the paths of an index: safe, sorted and each there once, no file also a directory, no listed directory implied
// by another path. kCorrupt names the path.
Status CheckTree(const std::vector<std::string_view>& files, const std::vector<std::string_view>& directories);

}  // namespace entrofs::archive
