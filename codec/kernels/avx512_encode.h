#pragma once

#include "codec/kernels/kernels.h"

// The encoder's half of the AVX-512 kernels; see kernels.h for what each function does.
namespace entrofs::codec {

bool ClassifyAvx512(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                    uint8_t** escapes, uint8_t* raw);
void EncodeTansAvx512(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states,
                      uint32_t* steps, uint32_t* bit_totals);
uint8_t* InterleaveAvx512(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end);

}  // namespace entrofs::codec
