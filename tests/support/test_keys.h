#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <string>

// Keys made for one test.
namespace entrofs::testing_support {

// Writes a new key of `algorithm` ("ED25519") as PEM files; true when that went well. `passphrase` may be null.
inline bool MakeKeys(const char* algorithm, const std::string& private_path, const std::string& public_path,
                     const char* passphrase = nullptr) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, algorithm);
  if (key == nullptr) return false;
  std::FILE* file = std::fopen(private_path.c_str(), "we");
  bool ok = file != nullptr && PEM_write_PrivateKey(file, key, passphrase != nullptr ? EVP_aes_128_cbc() : nullptr,
                                                    nullptr, 0, nullptr, const_cast<char*>(passphrase)) == 1;
  if (file != nullptr) std::fclose(file);
  file = std::fopen(public_path.c_str(), "we");
  ok = ok && file != nullptr && PEM_write_PUBKEY(file, key) == 1;
  if (file != nullptr) std::fclose(file);
  EVP_PKEY_free(key);
  return ok;
}

}  // namespace entrofs::testing_support
