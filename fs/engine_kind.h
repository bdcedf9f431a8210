#pragma once

namespace entrofs::fs {

// Which file system of the kernel shows the files.
enum class EngineKind {
  kFuse,    // FUSE itself
  kErofs,   // EROFS over our FUSE mount: large pages in the page cache; root only, Linux 6.12 or later
  kMemory,  // FUSE, which shows memory that files are decoded into when they are opened; root only, Linux 6.9 or later
  kAuto,    // kErofs where it works, else kFuse
};

}  // namespace entrofs::fs
