#pragma once

// Logarithm and power to the base 2 that give the same bits on every CPU and with every C library, whose own may differ
// in the last one: choices between coders and between quantizer steps hang on sums of these. They are built from the
// operations that IEEE 754 rounds in one way only.
namespace entrofs {

// log2(x), to within a few units of the last place. Requires: x > 0, normal.
double Log2(double x);

// 2^x, good to a relative 1e-14. Requires: |x| < 1000.
double Exp2(double x);

}  // namespace entrofs
