#include "fs/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>

#include "base/version.h"
#include "codec/codec.h"
#include "fs/mount.h"
#include "fs/mount_options.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "fs/status.h"
#include "fs/unmount.h"

namespace entrofs::fs {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Streams {
  std::ostream& out;
  std::ostream& err;
};

int ExitCodeOf(const Status& status, const Streams& streams) {
  if (status.ok()) return kExitOk;
  streams.err << "entrofs: " << status.error().message << "\n";
  return status.error().code == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

// Help and version are no errors, for CLI11 they are.
int ExitCodeOf(const CLI::ParseError& error, const CLI::App& app, const Streams& streams) {
  if (error.get_exit_code() == 0) {
    app.exit(error, streams.out, streams.err);
    return kExitOk;
  }
  std::string name = app.get_name();
  for (const CLI::App* command : app.get_subcommands()) name += " " + command->get_name();
  streams.err << name << ": " << error.what() << "; see " << name << " --help\n";
  return kExitUsage;
}

MountOptions DefaultMountOptions() {
  MountOptions options;
  options.allow_other = ::geteuid() == 0;
  return options;
}

// The subcommands. Each adds its arguments to `command` and returns what to do with them once they are parsed.
using Action = std::function<Status(const Streams&)>;

// What the command line says about one entry of the table.
struct GivenOption {
  const MountOption* option;
  std::string flag;  // "--cache-size"
  std::string value;
  bool is_given = false;
};

// Adds --name for every option of a mount. The values are in `given`, which must not move, once they are parsed.
void AddMountOptions(CLI::App& command, std::deque<GivenOption>& given) {
  for (const MountOption& option : MountOptionTable()) {
    GivenOption& entry = given.emplace_back(GivenOption{&option, "--" + std::string(option.name), {}});
    std::replace(entry.flag.begin(), entry.flag.end(), '_', '-');
    const std::string help(option.help);
    switch (option.takes) {
      case MountOption::Takes::kNothing:
      case MountOption::Takes::kYesOrNo:
        command.add_flag(entry.flag, entry.is_given, help);
        break;
      case MountOption::Takes::kOptionalValue:
        command.add_flag(entry.flag + "{yes}", entry.value, help + " (" + std::string(option.syntax) + ")");
        break;
      case MountOption::Takes::kValue:
        command.add_option(entry.flag, entry.value, help)->type_name(std::string(option.syntax));
        break;
    }
  }
}

Status ApplyGiven(const std::deque<GivenOption>& given, MountOptions& options) {
  for (const GivenOption& entry : given) {
    if (!entry.is_given && entry.value.empty()) continue;
    const std::string_view value = entry.is_given ? "yes" : std::string_view(entry.value);
    ENTROFS_RETURN_IF_ERROR(ApplyMountOption(*entry.option, entry.flag, value, options));
  }
  return OkStatus();
}

constexpr char kMountFooter[] =
    "Each option above is a mount option, too, with '_' for '-': -o cache_size=8G,noallow_other and the like, here "
    "and\n"
    "in fstab. The command line wins over -o. allow_other and core_dumps can be turned off: noallow_other, "
    "nocore_dumps.\n"
    "ro, nofail, noauto, user, _netdev, x-... and the like are accepted and left to mount(8).\n"
    "\nExamples:\n"
    "  entrofs mount llama.entro /mnt/llama           # returns when the files are there\n"
    "  ls /mnt/llama && entrofs status /mnt/llama\n"
    "  entrofs umount /mnt/llama\n"
    "  entrofs mount big.entro /mnt/big --cache-size 8G --cache-policy scan   # a model larger than memory\n"
    "  entrofs mount big.entro /mnt/big --archive-in-memory                   # an archive on slow storage";

Action AddMount(CLI::App& command) {
  struct Arguments {
    std::string archive, folder;
    std::vector<std::string> texts;  // of -o
    std::deque<GivenOption> given;
    bool foreground = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command.add_option("FILE", arguments->archive, "the archive (.entro)")->required();
  command.add_option("DIR", arguments->folder, "the folder in which its files appear")->required();
  command.add_flag("-f,--foreground", arguments->foreground, "stay in the foreground and log to stderr");
  command.add_option("-o", arguments->texts, "mount options, see below")->type_name("OPT,...")->allow_extra_args(false);
  AddMountOptions(command, arguments->given);
  command.footer(kMountFooter);
  return [arguments](const Streams&) -> Status {
    MountOptions options = DefaultMountOptions();
    for (const std::string& text : arguments->texts) ENTROFS_RETURN_IF_ERROR(ApplyMountOptions(text, options));
    ENTROFS_RETURN_IF_ERROR(ApplyGiven(arguments->given, options));
    options.archive_path = arguments->archive;
    options.mount_point = arguments->folder;
    options.foreground = arguments->foreground;
    ENTROFS_RETURN_IF_ERROR(codec::CheckKernelsVariable());
    return Mount(options);
  };
}

Action AddUmount(CLI::App& command) {
  struct Arguments {
    std::string folder;
    bool lazy = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command.add_option("DIR", arguments->folder, "where the archive is mounted")->required();
  command.add_flag("-l,--lazy", arguments->lazy, "detach at once, although files are open");
  return [arguments](const Streams&) { return Unmount(arguments->folder, arguments->lazy); };
}

Action AddStatus(CLI::App& command) {
  struct Arguments {
    std::string folder;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command.add_option("DIR", arguments->folder, "where the archive is mounted")->required();
  command.add_flag("--json", arguments->json, "one flat JSON object instead of a table");
  return [arguments](const Streams& streams) -> Status {
    ENTROFS_ASSIGN_OR_RETURN(MountStatus status, ReadStatus(arguments->folder));
    streams.out << (arguments->json ? StatusAsJson(status) : StatusAsText(status));
    return OkStatus();
  };
}

struct Subcommand {
  const char* name;
  const char* summary;
  Action (*add)(CLI::App& command);
};
constexpr Subcommand kSubcommands[] = {
    {"mount", "Show the files of an archive in a folder", AddMount},
    {"umount", "Unmount an archive", AddUmount},
    {"status", "Print what a mount has done so far", AddStatus},
};

int RunEntrofs(std::vector<std::string> args, const Streams& streams) {
  CLI::App app(
      "Mounts entropy-coded model archives (made by entro-pack): every program that reads the mount sees\n"
      "ordinary files, decoded as they are read. Read-only.",
      "entrofs");
  app.set_version_flag("--version", std::string("entrofs ") + Version());
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 the command line makes no sense.\n"
      "'entrofs SUBCOMMAND --help' tells more.");
  Action chosen;
  for (const Subcommand& subcommand : kSubcommands) {
    CLI::App* command = app.add_subcommand(subcommand.name, subcommand.summary);
    Action action = subcommand.add(*command);
    command->callback([&chosen, action] { chosen = action; });
  }
  try {
    std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
    app.parse(std::move(args));
  } catch (const CLI::ParseError& error) {
    return ExitCodeOf(error, app, streams);
  }
  return ExitCodeOf(chosen(streams), streams);
}

// True when the same archive is served there already, which is what `mount -a` wants.
bool IsMounted(const MountOptions& options) {
  std::optional<MountEntry> entry = FindMount(ResolveMountPoint(options.mount_point));
  if (!entry || !IsArchiveMount(*entry)) return false;
  Result<MountStatus> status = ReadStatus(options.mount_point);
  std::error_code error;
  std::string archive = std::filesystem::canonical(options.archive_path, error).string();
  if (!status || error) return false;
  for (const auto& [key, value] : status->facts) {
    if (key == "archive" && value == archive) return true;
  }
  return false;
}

// mount(8) runs "mount.entrofs SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]".
int RunMountHelper(std::vector<std::string> args, const Streams& streams) {
  CLI::App app("Helper of mount(8): mount -t entrofs FILE DIR", "mount.entrofs");
  MountOptions options = DefaultMountOptions();
  std::vector<std::string> texts;
  std::string ignored;
  bool fake = false;
  app.add_option("FILE", options.archive_path)->required();
  app.add_option("DIR", options.mount_point)->required();
  app.add_option("-o", texts)->allow_extra_args(false);
  app.add_flag("-f", fake);
  app.add_flag("-s,-n,-v");
  app.add_option("-N,-t", ignored);
  try {
    std::reverse(args.begin(), args.end());
    app.parse(std::move(args));
  } catch (const CLI::ParseError& error) {
    return ExitCodeOf(error, app, streams);
  }
  for (const std::string& text : texts) {
    if (Status status = ApplyMountOptions(text, options); !status) return ExitCodeOf(status, streams);
  }
  if (fake || IsMounted(options)) return kExitOk;
  if (Status kernels = codec::CheckKernelsVariable(); !kernels) return ExitCodeOf(kernels, streams);
  return ExitCodeOf(Mount(options), streams);
}

}  // namespace

int RunCli(const std::string& program, std::vector<std::string> args, std::ostream& out, std::ostream& err) {
  Streams streams{out, err};
  try {
    bool is_helper = std::filesystem::path(program).filename() == "mount.entrofs";
    return is_helper ? RunMountHelper(std::move(args), streams) : RunEntrofs(std::move(args), streams);
  } catch (const std::exception& e) {
    err << "entrofs: " << e.what() << "\n";
    return kExitFailed;
  }
}

}  // namespace entrofs::fs
