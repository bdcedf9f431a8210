#pragma once

// log2(x) for normal x > 0, to within a few units of the last place, and the same bits on every CPU and with every C
// library, whose own may differ in the last one: choices between coders hang on sums of these.
namespace entrofs {

double Log2(double x);

}  // namespace entrofs
