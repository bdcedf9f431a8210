#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/support/sample_archive.h"

namespace entrofs::golden {

struct GoldenSample {
  std::string name;  // NAME.entro
  std::function<testing_support::Sample()> make;
};

// What the golden archives hold. Never change one that is checked in: archives of every released version must stay
// readable. Add another.
std::vector<GoldenSample> GoldenSamples();

}  // namespace entrofs::golden
