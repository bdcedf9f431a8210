#pragma once

#include <ostream>

#include "bench/mount_race.h"

namespace entrofs::bench {

// Tables for people: cold, warm, and how often faster than squashfs.
void PrintMountTables(const MountRace& race, std::ostream& out);
// A JSON list with an object per test, system and state.
void PrintMountJson(const MountRace& race, std::ostream& out);

}  // namespace entrofs::bench
