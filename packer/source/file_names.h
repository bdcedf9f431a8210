#pragma once

#include <string>
#include <string_view>
#include <vector>

// What the names of a checkpoint's files tell.
namespace entrofs::packer::source {

// Whether `path` ends with `suffix` (".gguf", in lower case), in letters of either case.
bool HasSuffix(std::string_view path, std::string_view suffix);

// What programs leave beside a model and no reader of it wants: ".git", ".cache", ".DS_Store" and "._*" of macOS.
// `name` is that of one file or folder, without those above it.
bool IsLeavings(std::string_view name);

// One line for each set of parts ("model-00002-of-00005.safetensors") of which some are not among `paths`.
std::vector<std::string> MissingParts(const std::vector<std::string>& paths);

// The repository's name where `path` is a snapshot in a cache of Hugging Face's hub ("llama" for
// "/a/models--meta--llama/snapshots/1234"); empty elsewhere.
std::string RepositoryOfSnapshot(const std::string& path);

}  // namespace entrofs::packer::source
