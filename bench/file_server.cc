#include "bench/file_server.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "bench/ready_socket.h"
#include "bench/scratch.h"

namespace entrofs::bench {
namespace {

namespace stdfs = std::filesystem;

constexpr double kMountSeconds = 20;

dev_t DeviceOf(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 ? info.st_dev : 0;
}

Error NotMounted(const ServedFile& served, const std::string& what) {
  if (Interrupted()) return Error{ErrorCode::kCancelled, "interrupted"};
  return Error{ErrorCode::kIo, what + " did not mount: " + served.DaemonOutput()};
}

class EntrofsServer : public FileServer {
 public:
  EntrofsServer(const SampleModel& model, std::string mount_point, EntrofsSetup setup)
      : model_(model), mount_point_(std::move(mount_point)), setup_(std::move(setup)) {}

  Result<ServedFile> Serve() override {
    // A mount may drop the archive's pages behind its reader.
    if (setup_.archive_cached) ENTROFS_RETURN_IF_ERROR(FillPageCache(model_.archive_path));
    ENTROFS_ASSIGN_OR_RETURN(ReadySocket ready, ReadySocket::Open());
    std::vector<std::string> command = {setup_.program, "mount", "--foreground", model_.archive_path, mount_point_};
    command.insert(command.end(), setup_.options.begin(), setup_.options.end());
    ENTROFS_ASSIGN_OR_RETURN(Process daemon, Process::Start(command, {ready.setting()}));
    ServedFile served({mount_point_ + "/" + kModelName, model_.plain_bytes, model_.weights_begin}, mount_point_,
                      std::move(daemon));
    WaitUntil([&] { return ready.Poll() || served.HasEnded(); }, kMountSeconds);
    if (!ready.Poll() || served.HasEnded()) return NotMounted(served, "entrofs");
    return served;
  }
  uint64_t bytes_to_cache() const override { return model_.plain_bytes; }
  bool fills_large_pages() const override {
    return std::any_of(setup_.options.begin(), setup_.options.end(),
                       [](const std::string& word) { return word == "erofs" || word == "memory"; });
  }

 private:
  const SampleModel model_;
  const std::string mount_point_;
  const EntrofsSetup setup_;
};

class SquashfsServer : public FileServer {
 public:
  SquashfsServer(ModelFile file, std::string image, std::string mount_point)
      : file_(std::move(file)), image_(std::move(image)), mount_point_(std::move(mount_point)) {}

  Result<ServedFile> Serve() override {
    ENTROFS_RETURN_IF_ERROR(FillPageCache(image_));
    ENTROFS_RETURN_IF_ERROR(RunProgram({"mount", "-t", "squashfs", "-o", "loop,ro", image_, mount_point_}));
    return ServedFile(file_, mount_point_, std::nullopt);
  }
  bool is_squashfs() const override { return true; }
  uint64_t bytes_to_cache() const override { return file_.bytes; }

 protected:
  const ModelFile file_;
  const std::string image_;
  const std::string mount_point_;
};

class SquashfuseServer : public SquashfsServer {
 public:
  using SquashfsServer::SquashfsServer;

  Result<ServedFile> Serve() override {
    ENTROFS_RETURN_IF_ERROR(FillPageCache(image_));
    const dev_t before = DeviceOf(mount_point_);
    ENTROFS_ASSIGN_OR_RETURN(Process daemon, Process::Start({"squashfuse_ll", "-f", image_, mount_point_}));
    ServedFile served(file_, mount_point_, std::move(daemon));
    const auto mounted = [&] { return DeviceOf(mount_point_) != before; };
    WaitUntil([&] { return mounted() || served.HasEnded(); }, kMountSeconds);
    if (!mounted() || served.HasEnded()) return NotMounted(served, "squashfuse_ll");
    return served;
  }
  bool is_squashfs() const override { return false; }
};

class PlainServer : public FileServer {
 public:
  PlainServer(const SampleModel& model, NamelessFile copy) : model_(model), copy_(std::move(copy)) {}

  Result<ServedFile> Serve() override { return ServedFile({copy_.path(), model_.plain_bytes, model_.weights_begin}); }
  bool is_plain() const override { return true; }
  uint64_t bytes_to_cache() const override { return 0; }

 private:
  const SampleModel model_;
  const NamelessFile copy_;
};

Status MakeImage(const std::string& from, uint64_t bytes, int block_kib, const std::string& folder,
                 const std::string& image) {
  const std::string part = folder + "/part", file = part + "/" + kModelName, unfinished = image + ".unfinished";
  std::error_code error;
  stdfs::create_directory(part, error);
  stdfs::copy_file(from, file, stdfs::copy_options::overwrite_existing, error);
  if (!error) stdfs::resize_file(file, bytes, error);
  if (error) return Error{ErrorCode::kIo, file + ": " + error.message()};
  Status made = RunProgram({"mksquashfs", file, unfinished, "-comp", "zstd", "-b", std::to_string(block_kib) + "K",
                            "-noappend", "-quiet", "-no-progress"});
  stdfs::remove_all(part, error);
  if (made) stdfs::rename(unfinished, image, error);
  return made;
}

}  // namespace

ServedFile::~ServedFile() {
  if (mount_point_.empty()) return;
  if (daemon_) daemon_->Stop();  // unmounts, too
  daemon_.reset();
  const auto unmounted = [&] { return ::umount2(mount_point_.c_str(), 0) != 0 && errno != EBUSY; };
  for (int i = 0; i < 500 && !unmounted(); ++i) ::usleep(2000);
  ::umount2(mount_point_.c_str(), MNT_DETACH);
}

std::unique_ptr<FileServer> MakeEntrofsServer(const SampleModel& model, const std::string& mount_point,
                                              EntrofsSetup setup) {
  return std::make_unique<EntrofsServer>(model, mount_point, std::move(setup));
}

std::string DefaultEntrofs() {
  std::error_code error;
  return (stdfs::read_symlink("/proc/self/exe", error).parent_path() / "entrofs").string();
}

bool KnowsEngine(const std::string& entrofs, const std::string& engine) {
  auto help = Process::Start({entrofs, "mount", "--help"});
  if (!help || !help->Wait(kMountSeconds)) return false;
  const std::string text = help->Output(1 << 20);
  return text.find("--engine") != std::string::npos && text.find(engine + ":") != std::string::npos;
}

Result<std::unique_ptr<FileServer>> MakeSquashfsServer(const SampleModel& model, const SquashfsSetup& setup) {
  const std::string mounter = setup.fuse ? "squashfuse_ll" : "mount";
  if (!HaveProgram("mksquashfs")) return Error{ErrorCode::kUnsupported, "mksquashfs is not installed"};
  if (!HaveProgram(mounter)) return Error{ErrorCode::kUnsupported, mounter + " is not installed"};
  if (!setup.fuse && ::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root mounts squashfs"};
  const uint64_t bytes = std::min(setup.bytes, model.plain_bytes);
  const std::string image = setup.folder + "/model." + std::to_string(setup.block_kib) + "k.squashfs";
  if (!stdfs::exists(image)) {
    ENTROFS_RETURN_IF_ERROR(MakeImage(model.plain_path, bytes, setup.block_kib, setup.folder, image));
  }
  ModelFile file{setup.mount_point + "/" + kModelName, bytes, model.weights_begin};
  if (setup.fuse) {
    return std::unique_ptr<FileServer>(std::make_unique<SquashfuseServer>(file, image, setup.mount_point));
  }
  return std::unique_ptr<FileServer>(std::make_unique<SquashfsServer>(file, image, setup.mount_point));
}

Result<std::unique_ptr<FileServer>> MakePlainServer(const SampleModel& model, const std::string& folder,
                                                    size_t piece_bytes) {
  ENTROFS_ASSIGN_OR_RETURN(NamelessFile copy,
                           NamelessFile::Copy(folder, model.plain_path, model.plain_bytes, piece_bytes));
  return std::unique_ptr<FileServer>(std::make_unique<PlainServer>(model, std::move(copy)));
}

void MakeMountsPrivate() {
  if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0) return;
  ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
}

}  // namespace entrofs::bench
