#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"

// What is being written when the user interrupts.
namespace entrofs::packer::read {

// CreateFile, but never while RemoveUnfinished runs or after it (kCancelled). Thread-safe.
Result<std::unique_ptr<NewFile>> CreateUnfinishedFile(const std::string& path);

// Removes every file and TemporaryDirectory that is not committed, and lets no new one begin. For the thread that then
// ends the process. Thread-safe.
void RemoveUnfinished();

}  // namespace entrofs::packer::read
