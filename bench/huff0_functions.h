#pragma once

#include <stddef.h>

// The functions of zstd's Huffman stage that libzstd.a exports and no installed header declares, as zstd 1.5.4 and
// later define them (lib/common/huf.h there says what each does). Used only after cmake/huff0_probe.cc has run well.
extern "C" {
unsigned HUF_isError(size_t code);
size_t HUF_compressBound(size_t size);
size_t HUF_buildCTable_wksp(size_t* table, const unsigned* count, unsigned max_symbol, unsigned max_bits,
                            void* workspace, size_t workspace_bytes);
size_t HUF_writeCTable_wksp(void* out, size_t out_bytes, const size_t* table, unsigned max_symbol, unsigned table_log,
                            void* workspace, size_t workspace_bytes);
size_t HUF_compress4X_usingCTable(void* out, size_t out_bytes, const void* plain, size_t plain_bytes,
                                  const size_t* table, int flags);
size_t HUF_readDTableX1_wksp(unsigned* table, const void* written, size_t written_bytes, void* workspace,
                             size_t workspace_bytes, int flags);
size_t HUF_readDTableX2_wksp(unsigned* table, const void* written, size_t written_bytes, void* workspace,
                             size_t workspace_bytes, int flags);
size_t HUF_decompress4X_usingDTable(void* plain, size_t plain_bytes, const void* coded, size_t coded_bytes,
                                    const unsigned* table, int flags);
}

namespace entrofs::bench {

inline constexpr int kHufBmi2 = 1;                   // flags: the CPU has BMI2
inline constexpr size_t kHufBlockBytes = 128 << 10;  // largest block
inline constexpr unsigned kHufMaxBits = 11;          // what zstd itself uses
inline constexpr size_t kHufEncodeTableWords = 258;
inline constexpr size_t kHufDecodeTableWords = 1 + (1 << 12);
inline constexpr size_t kHufWorkspaceBytes = 16 << 10;
// The first word of an empty decode table: its capacity.
inline constexpr unsigned kHufEmptyX1 = 11 * 0x01000001u;
inline constexpr unsigned kHufEmptyX2 = 12 * 0x01000001u;

}  // namespace entrofs::bench
