#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace entrofs::packer::read {

// A directory under construction beside its final name, as NewFile is for files. Until Commit nobody else can enter it.
// Destruction without Commit removes it and all that is in it. Not thread-safe.
class TemporaryDirectory {
 public:
  // `target` must not exist or be an empty directory (kAlreadyExists otherwise); its parent must exist.
  static Result<std::unique_ptr<TemporaryDirectory>> Create(const std::string& target);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

  // Gives the directory its final name, durably. Files in it must be synced already.
  Status Commit();

  // Removes every directory that was not committed, while other threads may still be filling them, and keeps them
  // from being committed. For the thread that ends the process on SIGINT and SIGTERM. Thread-safe.
  static void RemoveAll();

 private:
  TemporaryDirectory(std::string target, std::string shelter);

  const std::string target_;
  const std::string shelter_;  // beside the target, of mode 0700
  const std::string path_;     // in it; becomes the target
};

}  // namespace entrofs::packer::read
