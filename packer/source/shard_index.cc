#include "packer/source/shard_index.h"

#include <nlohmann/json.hpp>

#include "packer/source/json_text.h"

namespace entrofs::packer::source {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> ParseIndex(std::string_view text) {
  ENTROFS_ASSIGN_OR_RETURN(Json json, ParseJsonText(text));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return Error{ErrorCode::kInvalidArgument, "is not an object with a weight_map"};
  }
  for (const auto& [name, file] : json["weight_map"].items()) {
    if (!file.is_string()) return Error{ErrorCode::kInvalidArgument, "weight_map of '" + name + "' is not a file name"};
  }
  return json;
}

}  // namespace

bool IsShardIndex(std::string_view path) { return path.ends_with(".safetensors.index.json"); }

Result<std::set<std::string>> ShardsOf(std::string_view text) {
  ENTROFS_ASSIGN_OR_RETURN(Json json, ParseIndex(text));
  std::set<std::string> shards;
  for (const auto& [name, file] : json["weight_map"].items()) shards.insert(file.get<std::string>());
  return shards;
}

Result<std::string> RewriteShardIndex(std::string_view text, const Renames& renames, uint64_t total_bytes) {
  ENTROFS_ASSIGN_OR_RETURN(Json json, ParseIndex(text));
  // An ordered object looks names up one by one: names go through a sorted map, as transformers writes them.
  std::map<std::string, std::string> weight_map;
  for (const auto& [name, file] : json["weight_map"].items()) {
    const std::string shard = file.get<std::string>();
    auto of_shard = renames.find(shard);
    const bool renamed = of_shard != renames.end() && of_shard->second.contains(name);
    if (!renamed) {
      weight_map[name] = shard;
      continue;
    }
    for (const std::string& output : of_shard->second.at(name)) weight_map[output] = shard;
  }
  json["weight_map"] = weight_map;
  if (json.contains("metadata") && json["metadata"].is_object() && json["metadata"].contains("total_size")) {
    json["metadata"]["total_size"] = total_bytes;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace entrofs::packer::source
