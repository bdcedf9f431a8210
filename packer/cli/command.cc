#include "packer/cli/command.h"

#include "archive/paths.h"
#include "base/thread_pool.h"
#include "packer/cli/terminal_progress.h"
#include "packer/read/unfinished.h"

namespace entrofs::packer::cli {
namespace {

// Errors stay on one line whatever names they quote.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

std::optional<int> ParseArguments(CLI::App& app, const std::vector<std::string>& args, const Streams& streams) {
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    streams.out << app.help();
    return kOk;
  } catch (const CLI::ParseError& e) {
    streams.err << OneLine(app.get_name() + ": " + e.what()) << "; see " << app.get_name() << " --help\n";
    return kUsage;
  }
}

int Fail(const Streams& streams, const Error& error) {
  streams.err << "entro-pack: " << OneLine(error.message) << "\n";
  return error.code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
}

Status WriteTextFile(const std::string& path, const std::string& text) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, read::CreateUnfinishedFile(path));
  ENTROFS_RETURN_IF_ERROR(file->Append(AsBytes(text)));
  return file->Commit();
}

void PrintWarnings(const Streams& streams, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    streams.err << "entro-pack: warning: " << archive::Printable(warning) << "\n";
  }
}

void AddThreadsOption(CLI::App& app, size_t& threads) {
  app.add_option("--threads", threads, "Threads to work with (default: one per CPU)")->check(CLI::Range(1, 1024));
}

size_t ThreadCount(size_t threads) { return threads > 0 ? threads : ThreadPool::AvailableCpus(); }

std::unique_ptr<read::Progress> MakeProgress(const Streams& streams) {
  if (streams.err_is_terminal) return std::make_unique<TerminalProgress>(streams.err);
  return std::make_unique<read::NoProgress>();
}

}  // namespace entrofs::packer::cli
