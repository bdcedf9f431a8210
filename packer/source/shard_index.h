#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// model.safetensors.index.json: which shard holds which tensor.
namespace entrofs::packer::source {

// True for names like "model.safetensors.index.json".
bool IsShardIndex(std::string_view path);

// The files that `json`, untrusted, names in its weight_map. kInvalidArgument when it is not a shard index.
Result<std::set<std::string>> ShardsOf(std::string_view json);

// By shard and name of an input tensor: the names of those that stand in for it.
using Renames = std::map<std::string, std::map<std::string, std::vector<std::string>>>;

// The text of `json` with weight_map entries replaced and, where it has one, metadata.total_size set to `total_bytes`.
// Other keys keep their values and order.
Result<std::string> RewriteShardIndex(std::string_view json, const Renames& renames, uint64_t total_bytes);

}  // namespace entrofs::packer::source
