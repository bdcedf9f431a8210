#include "packer/quantize/forms/module_patterns.h"

#include <cctype>
#include <map>
#include <set>
#include <string_view>

namespace entrofs::packer::quantize::forms {
namespace {

constexpr std::string_view kOuter = "model.";

// With dots escaped, and \d+ for parts that are numbers when `any_number`.
std::string Escape(std::string_view name, bool any_number) {
  constexpr std::string_view kSpecial = "\\^$.|?*+()[]{}";
  std::string escaped;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool starts_part = i == 0 || name[i - 1] == '.';
    size_t end = i;
    while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
    if (any_number && starts_part && end > i && (end == name.size() || name[end] == '.')) {
      escaped += "\\d+";
      i = end - 1;
      continue;
    }
    if (kSpecial.find(name[i]) != std::string_view::npos) escaped += '\\';
    escaped += name[i];
  }
  return escaped;
}

}  // namespace

std::vector<std::vector<std::string>> ModulePatterns(const std::vector<std::vector<std::string>>& sets) {
  std::map<std::string, std::set<size_t>> owners;  // by what names end with, numbers as they are or left open
  for (size_t i = 0; i < sets.size(); ++i) {
    for (const std::string& name : sets[i]) {
      for (size_t at = 0; at != std::string::npos;) {
        for (bool any_number : {false, true}) owners[Escape(std::string_view(name).substr(at), any_number)].insert(i);
        const size_t dot = name.find('.', at);
        at = dot == std::string::npos ? dot : dot + 1;
      }
    }
  }
  std::vector<std::vector<std::string>> patterns;
  for (const std::vector<std::string>& names : sets) {
    std::set<std::string> set_patterns;
    for (std::string_view name : names) {
      const std::string_view inner = name.starts_with(kOuter) ? name.substr(kOuter.size()) : name;
      std::string pattern = Escape(inner, true);
      if (owners.at(pattern).size() > 1) pattern = Escape(name, true);
      if (owners.at(Escape(name, true)).size() > 1) pattern = Escape(name, false);
      if (owners.at(pattern).size() > 1) {
        // It ends the name of a module of another set: only the name itself tells them apart.
        set_patterns.emplace(name);
        continue;
      }
      set_patterns.insert("re:(?:.*\\.)?" + pattern + "$");
    }
    patterns.emplace_back(set_patterns.begin(), set_patterns.end());
  }
  return patterns;
}

}  // namespace entrofs::packer::quantize::forms
