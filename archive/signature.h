#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"

// Who made an archive: a file beside it with the SHA-256 of each of its chunks and an Ed25519 signature over all of
// them, so that any part of the archive can be checked when it is read and nothing else need be. Specified in
// docs/signature-format.md. The checksums inside an archive find accidents; this stops forgers.
namespace entrofs::archive {

inline constexpr uint32_t kSignatureChunkBytes = 64 << 10;

// Where the signature of an archive is looked for: "<archive_path>.sig".
std::string SignaturePath(const std::string& archive_path);

struct KeyPair;  // of OpenSSL
// A key read from a PEM file as `openssl genpkey -algorithm ed25519` (private) and `openssl pkey -pubout` (public)
// write them. Immutable; share it between threads.
using Key = std::shared_ptr<const KeyPair>;
// kNotFound, kIo, or kUnsupported when the file holds no Ed25519 key of this sort or one behind a passphrase.
Result<Key> ReadPrivateKey(const std::string& path);
Result<Key> ReadPublicKey(const std::string& path);

// Is told of bytes that were hashed; from several threads.
using HashProgress = std::function<void(uint64_t bytes)>;

// The signature file for `archive`, whose every byte is read and hashed on `pool` and the calling thread. Blocks; not
// from a job of the pool.
Result<std::vector<uint8_t>> Sign(const RandomAccessFile& archive, const Key& private_key, ThreadPool& pool,
                                  const HashProgress& progress);

using ChunkHash = std::array<uint8_t, 32>;
// The hashes of all chunks of an archive of this size, from its signature file, untrusted. kCorrupt when the file is
// not one, is for an archive of another size or was not made with the private half of `public_key`.
Result<std::vector<ChunkHash>> CheckSignature(ByteSpan signature, const Key& public_key, uint64_t archive_bytes);

// `archive`, whose signature is at SignaturePath(archive_path), as a file that gives signed bytes only: each read
// hashes the chunks it touches and is kCorrupt when one is not as it was signed. Reads the signature, not the archive.
// Errors of the signature name its file.
Result<std::unique_ptr<RandomAccessFile>> OpenSigned(std::unique_ptr<RandomAccessFile> archive,
                                                     const std::string& archive_path, const Key& public_key);

// Reads all of `signed_archive`, a file of OpenSigned; its first error.
Status CheckAllChunks(const RandomAccessFile& signed_archive, ThreadPool& pool, const HashProgress& progress);

}  // namespace entrofs::archive
