#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fs/stats.h"

// The state of a mount as it travels from the daemon to `entrofs status`: in an extended attribute of the mount's root
// folder, so that whoever may read the mount may read it, without a further file or socket. The attribute is not
// listed; copying programs do not pick it up.
namespace entrofs::fs {

inline constexpr char kStatusAttribute[] = "user.entrofs.status";

struct MountStatus {
  // What is served and how ("archive", "/a/b.entro"), in order.
  std::vector<std::pair<std::string, std::string>> facts;
  // Counter names and values, in the order of kCounterInfo.
  std::vector<std::pair<std::string, uint64_t>> counters;
};

// The attribute's text: "key<TAB>value" lines, an empty line, "counter<TAB>value" lines.
std::string EncodeStatus(const MountStatus& status);
Result<MountStatus> DecodeStatus(std::string_view text);

// Asks the mount at `mount_point`. kNotFound when no entrofs answers there.
Result<MountStatus> ReadStatus(const std::string& mount_point);

// For people: one line each, aligned, with units and meanings.
std::string StatusAsText(const MountStatus& status);
// For programs: one flat object; counters are numbers, facts strings.
std::string StatusAsJson(const MountStatus& status);

}  // namespace entrofs::fs
