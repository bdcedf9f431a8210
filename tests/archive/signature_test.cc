#include "archive/signature.h"

#include <gtest/gtest.h>

#include "tests/support/fault_file.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_keys.h"

namespace entrofs::archive {
namespace {

using testing_support::Bytes;
using testing_support::MemoryFile;

constexpr size_t kChunk = kSignatureChunkBytes;

class SignatureTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(testing_support::MakeKeys("ED25519", folder_.Path("private"), folder_.Path("public")));
    private_key_ = *ReadPrivateKey(folder_.Path("private"));
    public_key_ = *ReadPublicKey(folder_.Path("public"));
  }

  Bytes SignatureOf(const Bytes& archive) {
    uint64_t hashed = 0;
    auto signature = Sign(MemoryFile(archive), private_key_, pool_, [&](uint64_t bytes) {
      std::lock_guard lock(mutex_);
      hashed += bytes;
    });
    EXPECT_TRUE(signature.ok());
    EXPECT_EQ(hashed, archive.size());
    return *signature;
  }

  // `archive` with `signature` beside it, opened.
  Result<std::unique_ptr<RandomAccessFile>> Open(const Bytes& archive, const Bytes& signature) {
    std::filesystem::remove(folder_.Path("a.entro.sig"));
    auto file = CreateFile(folder_.Path("a.entro.sig"));
    EXPECT_TRUE((*file)->Append(signature).ok() && (*file)->Commit().ok());
    return OpenSigned(std::make_unique<MemoryFile>(archive), folder_.Path("a.entro"), public_key_);
  }

  testing_support::TemporaryFolder folder_;
  ThreadPool pool_{2};
  std::mutex mutex_;
  Key private_key_;
  Key public_key_;
};

TEST_F(SignatureTest, SignedBytesAreReadWhateverTheRange) {
  for (size_t size : {size_t{0}, size_t{1}, kChunk - 1, kChunk, kChunk + 1, 3 * kChunk + 77, 40 * kChunk}) {
    const Bytes archive = testing_support::RandomBytes(size, 256, size);
    auto file = Open(archive, SignatureOf(archive));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_TRUE(CheckAllChunks(**file, pool_, [](uint64_t) {}).ok());
    for (size_t offset : {size_t{0}, size_t{1}, kChunk - 1, kChunk, 2 * kChunk + 5}) {
      for (size_t length : {size_t{0}, size_t{1}, size_t{100}, kChunk, kChunk + 1}) {
        Bytes out(length);
        Status status = (*file)->ReadAt(offset, out);
        if (length == 0) continue;
        ASSERT_EQ(status.ok(), offset + length <= size) << offset << "+" << length << " of " << size;
        if (status) {
          EXPECT_TRUE(std::equal(out.begin(), out.end(), archive.begin() + static_cast<ptrdiff_t>(offset)));
        }
      }
    }
  }
}

TEST_F(SignatureTest, EveryChangedByteOfTheArchiveIsRefusedWhereItIsRead) {
  const Bytes archive = testing_support::RandomBytes(3 * kChunk + 77, 256, 1);
  const Bytes signature = SignatureOf(archive);
  for (size_t at : {size_t{0}, kChunk - 1, kChunk, 2 * kChunk + 9, archive.size() - 1}) {
    Bytes forged = archive;
    forged[at] ^= 1;
    auto file = Open(forged, signature);
    ASSERT_TRUE(file.ok());
    EXPECT_FALSE(CheckAllChunks(**file, pool_, [](uint64_t) {}).ok());
    for (size_t chunk = 0; chunk < 4; ++chunk) {
      uint8_t out[10];
      Status status = (*file)->ReadAt(chunk * kChunk + 20, out);
      EXPECT_EQ(status.ok(), at / kChunk != chunk);
      if (!status) {
        EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
        EXPECT_NE(status.error().message.find("not those signed"), std::string::npos);
      }
    }
  }
}

TEST_F(SignatureTest, ChunksCannotChangePlacesNorTheArchiveItsLength) {
  const Bytes archive = testing_support::RandomBytes(3 * kChunk, 256, 1);
  const Bytes signature = SignatureOf(archive);
  Bytes swapped = archive;
  std::swap_ranges(swapped.begin(), swapped.begin() + kChunk, swapped.begin() + kChunk);
  auto file = Open(swapped, signature);
  ASSERT_TRUE(file.ok());
  uint8_t out[10];
  EXPECT_FALSE((*file)->ReadAt(0, out).ok());
  EXPECT_FALSE((*file)->ReadAt(kChunk, out).ok());
  EXPECT_TRUE((*file)->ReadAt(2 * kChunk, out).ok());
  for (ptrdiff_t change :
       {ptrdiff_t{-1}, ptrdiff_t{1}, -static_cast<ptrdiff_t>(kChunk), static_cast<ptrdiff_t>(kChunk)}) {
    Bytes other = archive;
    other.resize(static_cast<size_t>(static_cast<ptrdiff_t>(archive.size()) + change));
    EXPECT_FALSE(Open(other, signature).ok()) << change;
  }
}

TEST_F(SignatureTest, EveryChangedByteOfTheSignatureFileIsRefused) {
  const Bytes archive = testing_support::RandomBytes(2 * kChunk, 256, 1);
  const Bytes signature = SignatureOf(archive);
  ASSERT_EQ(signature.size(), 24 + 2 * 32 + 64u);
  for (size_t at = 0; at < signature.size(); ++at) {
    Bytes forged = signature;
    forged[at] ^= 0x10;
    EXPECT_FALSE(CheckSignature(forged, public_key_, archive.size()).ok()) << at;
  }
  for (size_t size = 0; size < signature.size(); ++size) {
    Bytes shorter(signature.begin(), signature.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(CheckSignature(shorter, public_key_, archive.size()).ok()) << size;
  }
  Bytes longer = signature;
  longer.push_back(0);
  EXPECT_FALSE(Open(archive, longer).ok());
}

TEST_F(SignatureTest, AnotherKeyIsRefusedAndAMissingSignatureNamed) {
  const Bytes archive = testing_support::RandomBytes(100, 256, 1);
  const Bytes signature = SignatureOf(archive);
  ASSERT_TRUE(testing_support::MakeKeys("ED25519", folder_.Path("private2"), folder_.Path("public2")));
  public_key_ = *ReadPublicKey(folder_.Path("public2"));
  auto file = Open(archive, signature);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message, folder_.Path("a.entro.sig") + ": was not made with this key");
  std::filesystem::remove(folder_.Path("a.entro.sig"));
  file = OpenSigned(std::make_unique<MemoryFile>(archive), folder_.Path("a.entro"), public_key_);
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("a.entro.sig"), std::string::npos);
}

TEST_F(SignatureTest, KeysOfOtherKindsAreRefusedWithoutAsking) {
  ASSERT_TRUE(testing_support::MakeKeys("X25519", folder_.Path("other"), folder_.Path("other.pub")));
  ASSERT_TRUE(testing_support::MakeKeys("ED25519", folder_.Path("locked"), folder_.Path("locked.pub"), "secret"));
  for (const char* name : {"other", "locked", "public"}) {
    auto key = ReadPrivateKey(folder_.Path(name));
    ASSERT_FALSE(key.ok()) << name;
    EXPECT_NE(key.error().message.find("openssl genpkey"), std::string::npos);
  }
  for (const char* name : {"other.pub", "private"}) EXPECT_FALSE(ReadPublicKey(folder_.Path(name)).ok()) << name;
  EXPECT_EQ(ReadPublicKey(folder_.Path("missing")).error().code, ErrorCode::kNotFound);
}

TEST_F(SignatureTest, AFailedReadIsAnErrorOfSigningAndChecking) {
  const Bytes archive = testing_support::RandomBytes(40 * kChunk, 256, 1);
  testing_support::FaultPlan plan;
  for (uint64_t at = 0; at < 3; ++at) {
    plan.FailAt(at, Error{ErrorCode::kIo, "disk on fire"});
    testing_support::FaultReadFile file(std::make_unique<MemoryFile>(archive), &plan);
    EXPECT_FALSE(Sign(file, private_key_, pool_, [](uint64_t) {}).ok());
    plan.FailAt(at, Error{ErrorCode::kIo, "disk on fire"});
    EXPECT_FALSE(CheckAllChunks(file, pool_, [](uint64_t) {}).ok());
  }
}

}  // namespace
}  // namespace entrofs::archive
