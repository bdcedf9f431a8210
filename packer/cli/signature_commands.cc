#include "archive/signature.h"
#include "base/units.h"
#include "packer/cli/command.h"
#include "packer/read/unfinished.h"
#include "packer/read/verify.h"

namespace entrofs::packer::cli {
namespace {

struct SignatureOptions {
  std::string path;
  std::string key;
  size_t threads = 0;
};

Status SignArchive(const SignatureOptions& options, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(archive::Key key, archive::ReadPrivateKey(options.key));
  // What is no archive, or cut off, is not worth a signature.
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader, read::OpenArchive(options.path));
  const std::string path = archive::SignaturePath(options.path);
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, read::CreateUnfinishedFile(path));
  ThreadPool pool(ThreadCount(options.threads));
  Result<std::vector<uint8_t>> signature = [&] {
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    progress->Start("signing", reader->archive_bytes());
    return archive::Sign(reader->file(), key, pool, [&](uint64_t bytes) { progress->Advance(bytes); });
  }();
  if (!signature) return std::move(signature.error()).WithContext(options.path);
  ENTROFS_RETURN_IF_ERROR(file->Append(*signature));
  ENTROFS_RETURN_IF_ERROR(file->Commit());
  streams.out << path << ": signs all " << FormatBytes(reader->archive_bytes()) << " of " << options.path << "\n";
  return OkStatus();
}

Status CheckArchive(const SignatureOptions& options, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(archive::Key key, archive::ReadPublicKey(options.key));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(options.path));
  ENTROFS_ASSIGN_OR_RETURN(file, archive::OpenSigned(std::move(file), options.path, key));
  ThreadPool pool(ThreadCount(options.threads));
  Status status = [&] {
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    progress->Start("checking", file->size());
    return archive::CheckAllChunks(*file, pool, [&](uint64_t bytes) { progress->Advance(bytes); });
  }();
  if (!status) return std::move(status.error()).WithContext(options.path);
  streams.out << options.path << ": all " << FormatBytes(file->size()) << " are as they were signed with this key\n";
  return OkStatus();
}

int Run(CLI::App& app, const char* key_help, Status (*run)(const SignatureOptions&, const Streams&),
        const std::vector<std::string>& args, const Streams& streams) {
  SignatureOptions options;
  app.add_option("FILE", options.path, "The archive")->required();
  app.add_option("--key", options.key, key_help)->required()->type_name("PEM");
  AddThreadsOption(app, options.threads);
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  Status status = run(options, streams);
  return status ? kOk : Fail(streams, status.error());
}

}  // namespace

int RunSign(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Signs an archive with an Ed25519 key: writes FILE.sig, which entrofs mount --require-signature checks.",
               "entro-pack sign");
  app.footer(
      "examples:\n"
      "  openssl genpkey -algorithm ed25519 -out private.pem       # once; keep it to yourself\n"
      "  openssl pkey -in private.pem -pubout -out public.pem      # give it to everybody\n"
      "  entro-pack sign model.entro --key private.pem\n");
  return Run(app, "The private key", SignArchive, args, streams);
}

int RunVerifySignature(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Checks that every byte of an archive is as FILE.sig says, and that this key made FILE.sig.",
               "entro-pack verify-signature");
  app.footer("example:\n  entro-pack verify-signature model.entro --key public.pem\n");
  return Run(app, "The public key", CheckArchive, args, streams);
}

}  // namespace entrofs::packer::cli
