#pragma once

#include <cstdint>
#include <optional>
#include <string>

// How much memory this process may use, and whether that is short at the moment, as the kernel tells it.
namespace entrofs::fs {

// Where the kernel shows it. Other places are for tests.
struct MemoryPlaces {
  std::string proc = "/proc";
  std::string cgroups = "/sys/fs/cgroup";
};

// The lowest limit of the process's control groups (memory.max, or memory.limit_in_bytes of version 1) and of what they
// lie in. Nothing when there is none below the machine's memory.
std::optional<uint64_t> MemoryLimitBytes(const MemoryPlaces& places = {});

// What could be allocated now without taking from others: MemAvailable, or what the limit above leaves when that is
// less. Nothing when the kernel does not tell.
std::optional<uint64_t> AvailableMemoryBytes(const MemoryPlaces& places = {});

// The sum of all time in which some thread waited for memory, in microseconds: of the control group where the kernel
// keeps that, else of the machine. Nothing when it keeps neither (before Linux 4.20).
std::optional<uint64_t> MemoryStallMicroseconds(const MemoryPlaces& places = {});

}  // namespace entrofs::fs
