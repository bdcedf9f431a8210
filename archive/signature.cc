#include "archive/signature.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>

#include "base/buffer.h"
#include "base/parallel.h"

namespace entrofs::archive {

struct KeyPair {
  explicit KeyPair(EVP_PKEY* openssl_key) : key(openssl_key) {}
  ~KeyPair() { EVP_PKEY_free(key); }
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;
  EVP_PKEY* const key;
};

namespace {

// The file: head, hashes, signature over both.
constexpr std::array<uint8_t, 8> kSignatureMagic = {'E', 'N', 'T', 'R', 'O', 'S', 'I', 'G'};
constexpr uint32_t kSignatureVersion = 1;
constexpr size_t kHeadBytes = 24;
constexpr size_t kHashBytes = sizeof(ChunkHash);
constexpr size_t kEd25519Bytes = 64;
constexpr uint64_t kMaxKeyFileBytes = 64 << 10;
// Chunks that one job hashes.
constexpr uint64_t kJobChunks = 16;

uint64_t ChunkCount(uint64_t archive_bytes) {
  return archive_bytes / kSignatureChunkBytes + (archive_bytes % kSignatureChunkBytes != 0 ? 1 : 0);
}

uint64_t SignatureBytes(uint64_t archive_bytes) {
  return kHeadBytes + kHashBytes * ChunkCount(archive_bytes) + kEd25519Bytes;
}

std::vector<uint8_t> EncodeHead(uint64_t archive_bytes) {
  ByteWriter head;
  head.WriteBytes(kSignatureMagic);
  head.WriteU32(kSignatureVersion);
  head.WriteU32(kSignatureChunkBytes);
  head.WriteU64(archive_bytes);
  return {head.bytes().begin(), head.bytes().end()};
}

ChunkHash HashChunk(ByteSpan chunk) {
  ChunkHash hash{};
  // Fails only when memory does.
  if (EVP_Digest(chunk.data(), chunk.size(), hash.data(), nullptr, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
  return hash;
}

// There is nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

struct Closer {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Result<Key> ReadKey(const std::string& path, bool is_private) {
  ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path, kMaxKeyFileBytes));
  std::unique_ptr<BIO, Closer> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) throw std::bad_alloc();
  EVP_PKEY* key = is_private ? PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr)
                             : PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr);
  if (is_private) OPENSSL_cleanse(text.data(), text.size());
  ERR_clear_error();
  if (key != nullptr) {
    Key owned = std::make_shared<const KeyPair>(key);
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519) return owned;
  }
  return Error{ErrorCode::kUnsupported,
               path + (is_private ? ": no Ed25519 private key without passphrase; make one with 'openssl genpkey "
                                    "-algorithm ed25519'"
                                  : ": no Ed25519 public key; make it with 'openssl pkey -in PRIVATE_KEY -pubout'")};
}

// Runs job(first chunk, chunk count) for all chunks on the pool; the error of the first chunks that failed.
Status ForAllChunks(uint64_t chunk_count, ThreadPool& pool,
                    const std::function<Status(uint64_t first, uint64_t count)>& job) {
  return ParallelForStatus(pool, static_cast<size_t>((chunk_count + kJobChunks - 1) / kJobChunks), [&](size_t i) {
    const uint64_t first = i * kJobChunks;
    return job(first, std::min(kJobChunks, chunk_count - first));
  });
}

class SignedFile : public RandomAccessFile {
 public:
  SignedFile(std::unique_ptr<RandomAccessFile> file, std::vector<ChunkHash> hashes)
      : file_(std::move(file)), hashes_(std::move(hashes)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (out.empty()) return OkStatus();
    if (offset > size() || out.size() > size() - offset) return file_->ReadAt(offset, out);  // says what is wrong
    const uint64_t begin = offset / kSignatureChunkBytes * kSignatureChunkBytes;
    const uint64_t end = std::min(size(), ChunkCount(offset + out.size()) * kSignatureChunkBytes);
    Buffer chunks(end - begin);
    ENTROFS_RETURN_IF_ERROR(file_->ReadAt(begin, chunks.span()));
    ENTROFS_RETURN_IF_ERROR(Check(begin, chunks.span()));
    std::memcpy(out.data(), chunks.data() + (offset - begin), out.size());
    return OkStatus();
  }
  uint64_t size() const override { return file_->size(); }
  FileAccess access() const override { return file_->access(); }
  void DropCached(uint64_t offset, uint64_t length) const override { file_->DropCached(offset, length); }

 private:
  // `bytes` are whole chunks, from archive offset `begin`.
  Status Check(uint64_t begin, ByteSpan bytes) const {
    for (uint64_t chunk = begin / kSignatureChunkBytes; !bytes.empty(); ++chunk) {
      ByteSpan one = bytes.first(std::min<size_t>(kSignatureChunkBytes, bytes.size()));
      if (HashChunk(one) != hashes_[chunk]) {
        return Error{ErrorCode::kCorrupt, "the bytes at archive offset " +
                                              std::to_string(chunk * kSignatureChunkBytes) + " are not those signed"};
      }
      bytes = bytes.subspan(one.size());
    }
    return OkStatus();
  }

  const std::unique_ptr<RandomAccessFile> file_;
  const std::vector<ChunkHash> hashes_;
};

}  // namespace

std::string SignaturePath(const std::string& archive_path) { return archive_path + ".sig"; }

Result<Key> ReadPrivateKey(const std::string& path) { return ReadKey(path, true); }
Result<Key> ReadPublicKey(const std::string& path) { return ReadKey(path, false); }

Result<std::vector<uint8_t>> Sign(const RandomAccessFile& archive, const Key& private_key, ThreadPool& pool,
                                  const HashProgress& progress) {
  std::vector<uint8_t> text = EncodeHead(archive.size());
  const uint64_t chunk_count = ChunkCount(archive.size());
  text.resize(kHeadBytes + kHashBytes * chunk_count);
  Status hashed = ForAllChunks(chunk_count, pool, [&](uint64_t first, uint64_t count) -> Status {
    const uint64_t begin = first * kSignatureChunkBytes;
    Buffer bytes(std::min(archive.size() - begin, count * kSignatureChunkBytes));
    ENTROFS_RETURN_IF_ERROR(archive.ReadAt(begin, bytes.span()));
    for (uint64_t i = 0; i < count; ++i) {
      ByteSpan rest = ByteSpan(bytes.span()).subspan(i * kSignatureChunkBytes);
      ChunkHash hash = HashChunk(rest.first(std::min<size_t>(kSignatureChunkBytes, rest.size())));
      std::copy(hash.begin(), hash.end(), text.begin() + static_cast<ptrdiff_t>(kHeadBytes + kHashBytes * (first + i)));
    }
    progress(bytes.size());
    return OkStatus();
  });
  if (!hashed) return std::move(hashed.error());
  std::array<uint8_t, kEd25519Bytes> signature{};
  size_t signature_bytes = signature.size();
  std::unique_ptr<EVP_MD_CTX, Closer> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, private_key->key) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &signature_bytes, text.data(), text.size()) != 1) {
    ERR_clear_error();
    return Error{ErrorCode::kInvalidArgument, "the private key cannot sign"};
  }
  text.insert(text.end(), signature.begin(), signature.end());
  return text;
}

Result<std::vector<ChunkHash>> CheckSignature(ByteSpan signature, const Key& public_key, uint64_t archive_bytes) {
  const std::vector<uint8_t> head = EncodeHead(archive_bytes);
  if (signature.size() < kHeadBytes || !std::equal(kSignatureMagic.begin(), kSignatureMagic.end(), signature.begin())) {
    return Error{ErrorCode::kCorrupt, "not a signature of an entrofs archive"};
  }
  if (signature.size() != SignatureBytes(archive_bytes) || !std::equal(head.begin(), head.end(), signature.begin())) {
    return Error{ErrorCode::kCorrupt, "is not for an archive of this size, or of another version"};
  }
  ByteSpan text = signature.first(signature.size() - kEd25519Bytes);
  std::unique_ptr<EVP_MD_CTX, Closer> context(EVP_MD_CTX_new());
  const bool valid =
      context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key->key) == 1 &&
      EVP_DigestVerify(context.get(), signature.data() + text.size(), kEd25519Bytes, text.data(), text.size()) == 1;
  ERR_clear_error();
  if (!valid) return Error{ErrorCode::kCorrupt, "was not made with this key"};
  std::vector<ChunkHash> hashes(ChunkCount(archive_bytes));
  if (!hashes.empty()) std::memcpy(hashes.data(), text.data() + kHeadBytes, kHashBytes * hashes.size());
  return hashes;
}

Result<std::unique_ptr<RandomAccessFile>> OpenSigned(std::unique_ptr<RandomAccessFile> archive,
                                                     const std::string& archive_path, const Key& public_key) {
  const std::string path = SignaturePath(archive_path);
  ENTROFS_ASSIGN_OR_RETURN(std::string signature, ReadWholeFile(path, SignatureBytes(archive->size())));
  auto hashes = CheckSignature(AsBytes(signature), public_key, archive->size());
  if (!hashes) return std::move(hashes.error()).WithContext(path);
  return std::unique_ptr<RandomAccessFile>(std::make_unique<SignedFile>(std::move(archive), std::move(*hashes)));
}

Status CheckAllChunks(const RandomAccessFile& signed_archive, ThreadPool& pool, const HashProgress& progress) {
  return ForAllChunks(ChunkCount(signed_archive.size()), pool, [&](uint64_t first, uint64_t count) -> Status {
    const uint64_t begin = first * kSignatureChunkBytes;
    Buffer bytes(std::min(signed_archive.size() - begin, count * kSignatureChunkBytes));
    ENTROFS_RETURN_IF_ERROR(signed_archive.ReadAt(begin, bytes.span()));
    progress(bytes.size());
    return OkStatus();
  });
}

}  // namespace entrofs::archive
