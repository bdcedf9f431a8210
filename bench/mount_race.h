#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "bench/access_pattern.h"
#include "bench/file_server.h"

namespace entrofs::bench {

// What one way of reading gave with one server, cold (a fresh mount) or warm (the same for the third time): one entry
// per round.
struct MountSeries {
  std::string test;
  std::string system;
  std::string state;  // "cold", "warm"
  std::vector<Sample> samples;
  std::vector<double> daemon_cpu_seconds;

  double GbPerSecond() const;
  double ClientCpuPerGb() const;
  double DaemonCpuPerGb() const;
};

struct MountRace {
  std::vector<MountSeries> series;    // by test, then server, cold before warm
  std::vector<std::string> squashfs;  // the systems to compare with
  // The better of `squashfs` in the same test and state; 0 when there is none.
  double SquashfsRate(const MountSeries& series) const;
  const MountSeries* Find(std::string_view test, std::string_view system, std::string_view state) const;
};

inline constexpr char kDecodeTest[] = "decode";
// Ways to decode the archive alone; the first is what others are measured by.
struct DecodeWay {
  const char* system;
  const char* summary;
  bool is_dealt;  // every thread has its fixed share of the segments, shuffled, as the EntroLLM paper has it; else they
                  // take the next one from a queue
  bool is_mapped;  // the archive is mapped, not read with pread
};
inline constexpr DecodeWay kDecodeWays[] = {
    {"decode-only", "segments from a queue, archive read with pread", false, false},
    {"decode-dealt", "segments shuffled and dealt to the threads before, as the EntroLLM paper does", true, false},
    {"decode-mapped", "segments from a queue, archive mapped", false, true},
};

struct MountRaceOptions {
  int rounds = 5;
  std::string archive_path;  // for the decode-only rate; empty: leave it out
  bool warm = true;
};

// Every server takes its turn in every test, round after round. A server that refuses a way of reading (O_DIRECT, say)
// is left out of that test; any other failure ends the race.
Result<MountRace> RunMountRace(const std::vector<std::unique_ptr<FileServer>>& servers,
                               const std::vector<const AccessPattern*>& patterns, const MountRaceOptions& options,
                               std::ostream& progress);

// Decodes every segment of the archive once, into private buffers, on as many threads as there are CPUs.
Result<Sample> DecodeArchive(const std::string& archive_path, const DecodeWay& way);

}  // namespace entrofs::bench
