#pragma once

#include <functional>
#include <string>
#include <utility>
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

// What a sample shows: path, or VIEW:PATH where it has views, and content, in the sample's order.
std::vector<std::pair<std::string, testing_support::Bytes>> ContentsOf(const testing_support::Sample& sample);

}  // namespace entrofs::golden
