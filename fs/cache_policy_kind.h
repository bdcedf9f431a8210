#pragma once

namespace entrofs::fs {

// Which decoded segments a mount keeps.
enum class CachePolicyKind {
  kLru,   // what was read in part lately; the kernel's page cache keeps the rest
  kScan,  // besides, a fixed part of models that do not fit into memory
};

}  // namespace entrofs::fs
