#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/access_pattern.h"
#include "bench/process.h"
#include "bench/sample_model.h"

// Ways to get at the bytes of a model: through our mount, through others', as a plain file.
namespace entrofs::bench {

// A model file at hand. What serves it goes with this object.
class ServedFile {
 public:
  // A plain file.
  explicit ServedFile(ModelFile file) : file_(std::move(file)) {}
  // Served by `daemon`, if any, and mounted on `mount_point`.
  ServedFile(ModelFile file, std::string mount_point, std::optional<Process> daemon)
      : file_(std::move(file)), mount_point_(std::move(mount_point)), daemon_(std::move(daemon)) {}
  ~ServedFile();
  ServedFile(ServedFile&&) noexcept = default;

  const ModelFile& file() const { return file_; }
  // CPU time that serving has taken so far, as far as it can be told: not the kernel's own threads.
  double DaemonCpuSeconds() const { return daemon_ ? daemon_->CpuSeconds() : 0; }
  // Whether what served it is gone.
  bool HasEnded() { return daemon_ && daemon_->Poll(); }
  std::string DaemonOutput() const { return daemon_ ? daemon_->Output() : ""; }

 private:
  ModelFile file_;
  std::string mount_point_;
  std::optional<Process> daemon_;
};

class FileServer {
 public:
  virtual ~FileServer() = default;
  // Serves anew; nothing of a mount is cached then. The files behind are in the page cache.
  virtual Result<ServedFile> Serve() = 0;
  // Whether it is a plain file, which is always cached.
  virtual bool is_plain() const { return false; }
  // How much page cache reading it takes; 0 when it is there already.
  virtual uint64_t bytes_to_cache() const = 0;
  // Whether the page cache holds them in pages of 2 MiB, mostly.
  virtual bool fills_large_pages() const { return false; }
  // Whether others are compared with it as "squashfs".
  virtual bool is_squashfs() const { return false; }

  std::string name;
  std::string summary;
};

// `entrofs mount` with the given options, run from `program`.
struct EntrofsSetup {
  std::string program;
  std::vector<std::string> options;  // like "-o", "read_ahead_kb=128"
  bool archive_cached = true;        // whether Serve reads the archive into the page cache before
};
std::unique_ptr<FileServer> MakeEntrofsServer(const SampleModel& model, const std::string& mount_point,
                                              EntrofsSetup setup);
// The entrofs beside the running program.
std::string DefaultEntrofs();
// Whether this build of entrofs knows that --engine.
bool KnowsEngine(const std::string& entrofs, const std::string& engine);

// The first bytes of the model in a squashfs image with zstd and blocks of `block_kib`, which is made here unless it is
// there; mounted by the kernel or, with `fuse`, by squashfuse. kUnsupported where programs or rights are missing.
struct SquashfsSetup {
  std::string folder;
  std::string mount_point;
  uint64_t bytes = 0;
  int block_kib = 128;
  bool fuse = false;
};
Result<std::unique_ptr<FileServer>> MakeSquashfsServer(const SampleModel& model, const SquashfsSetup& setup);

// A copy in `folder`, written in pieces of `piece_bytes`.
Result<std::unique_ptr<FileServer>> MakePlainServer(const SampleModel& model, const std::string& folder,
                                                    size_t piece_bytes);

// Makes mounts of this process invisible to others and lets them go when it ends, however it ends. Root only; others
// rely on ServedFile.
void MakeMountsPrivate();

}  // namespace entrofs::bench
