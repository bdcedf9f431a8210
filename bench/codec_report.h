#pragma once

#include <ostream>
#include <span>

#include "bench/race.h"

// Races as people and programs read them.
namespace entrofs::bench {

void PrintTable(const Race& race, std::ostream& out);

// A JSON list with one object per contender, input and number of cores. Rows whose codec ends in "-merge" are the whole
// BF16 tensor, rows that end in "-encode" are encoding. What does not apply or did not run is null.
void PrintJson(std::span<const Race> races, std::ostream& out);

}  // namespace entrofs::bench
