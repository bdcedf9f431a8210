// The include graph of the tree is the one its design states.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace entrofs {
namespace {

const std::map<std::string, std::set<std::string>> kAllowed = {
    {"base", {"base"}},
    {"codec", {"base", "codec"}},
    {"archive", {"base", "codec", "archive"}},
    {"cache", {"base", "cache"}},
    {"packer", {"base", "codec", "archive", "packer"}},
    {"fs", {"base", "codec", "archive", "cache", "fs"}},
};

// The folder of a quoted include that starts at the repository root, or "".
std::string IncludedFolder(const std::string& line) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*"([a-z_]+)/[^"]+")re");
  std::smatch match;
  return std::regex_search(line, match, kInclude) ? match[1].str() : "";
}

TEST(Layering, FoldersIncludeOnlyWhatTheyMay) {
  for (const auto& [folder, allowed] : kAllowed) {
    std::filesystem::path root = std::filesystem::path(ENTROFS_SOURCE_DIR) / folder;
    ASSERT_TRUE(std::filesystem::exists(root)) << root;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        std::string included = IncludedFolder(line);
        if (included.empty()) continue;
        EXPECT_TRUE(allowed.contains(included)) << entry.path() << " includes " << included << "/";
      }
    }
  }
}

TEST(Layering, OnlyCodecSeesInsideCodec) {
  const std::set<std::string> outside = {"archive", "cache", "packer", "fs"};
  static const std::regex kInside(R"re(^\s*#\s*include\s*"codec/(?!codec\.h"))re");
  for (const std::string& folder : outside) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::filesystem::path(ENTROFS_SOURCE_DIR) / folder)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) EXPECT_FALSE(std::regex_search(line, kInside)) << entry.path();
    }
  }
}

}  // namespace
}  // namespace entrofs
