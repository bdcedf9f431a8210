#include <string_view>

#include "packer/analyze/analysis_report.h"

namespace entrofs::packer::analyze {
namespace {

// page.html with its style and script, as CMakeLists.txt puts them together.
constexpr std::string_view kPage =
#include "page.inc"
    ;
constexpr std::string_view kDataMark = "%DATA%";
static_assert(kPage.find(kDataMark) != std::string_view::npos);

// Names may hold "</script>"; as part of a JSON string "<" can always be written so.
std::string WithoutTags(const std::string& json) {
  std::string safe;
  safe.reserve(json.size());
  for (char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string AnalysisPage(const Analysis& analysis) {
  const size_t mark = kPage.find(kDataMark);
  return std::string(kPage.substr(0, mark)) + WithoutTags(AnalysisJson(analysis)) +
         std::string(kPage.substr(mark + kDataMark.size()));
}

}  // namespace entrofs::packer::analyze
