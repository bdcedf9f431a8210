#pragma once

#include <cstdint>
#include <string>

namespace entrofs::packer::read {

// Is told how far a long operation has come. Thread-safe.
class Progress {
 public:
  virtual ~Progress() = default;
  // Begins a part of the work: `what` ("packing"), of `total_bytes`.
  virtual void Start(const std::string& what, uint64_t total_bytes) = 0;
  // `bytes` more of it are done.
  virtual void Advance(uint64_t bytes) = 0;
};

// Tells nobody.
class NoProgress : public Progress {
 public:
  void Start(const std::string&, uint64_t) override {}
  void Advance(uint64_t) override {}
};

}  // namespace entrofs::packer::read
