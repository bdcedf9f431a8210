#include "bench/mount_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

namespace entrofs::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kTestWidth = 15;
constexpr int kCellWidth = 17;

std::vector<std::string> Names(const MountRace& race, std::string_view state, std::string MountSeries::*name) {
  std::vector<std::string> names;
  for (const MountSeries& series : race.series) {
    if (series.state != state || series.test == kDecodeTest) continue;
    if (std::find(names.begin(), names.end(), series.*name) == names.end()) names.push_back(series.*name);
  }
  return names;
}

std::string Padded(std::string text, int width) {
  if (static_cast<int>(text.size()) < width) text.append(static_cast<size_t>(width) - text.size(), ' ');
  return text + " ";
}

using Cell = std::function<std::string(const MountSeries&)>;

void PrintTable(const MountRace& race, const char* title, std::string_view state, const Cell& cell, std::ostream& out) {
  const std::vector<std::string> systems = Names(race, state, &MountSeries::system);
  if (systems.empty()) return;
  out << "\n" << title << "\n" << Padded("", kTestWidth);
  for (const std::string& system : systems) out << Padded(system, kCellWidth);
  out << "\n";
  for (const std::string& test : Names(race, state, &MountSeries::test)) {
    out << Padded(test, kTestWidth);
    for (const std::string& system : systems) {
      const MountSeries* series = race.Find(test, system, state);
      out << Padded(series == nullptr ? "-" : cell(*series), kCellWidth);
    }
    out << "\n";
  }
}

std::string RateAndCpu(const MountSeries& series) {
  char text[64];
  std::snprintf(text, sizeof text, series.GbPerSecond() < 0.1 ? "%6.3f" : "%6.2f", series.GbPerSecond());
  std::string cell = text;
  if (series.DaemonCpuPerGb() > 0) {
    std::snprintf(text, sizeof text, " %.2f+%.2f", series.DaemonCpuPerGb(), series.ClientCpuPerGb());
  } else {
    std::snprintf(text, sizeof text, " %.2f", series.ClientCpuPerGb());
  }
  return cell + text;
}

// Five significant digits; null for what is unknown.
Json JsonNumber(double value) {
  if (value == 0 || !std::isfinite(value)) return nullptr;
  const double unit = std::pow(10, std::floor(std::log10(std::fabs(value))) - 4);
  return std::round(value / unit) * unit;
}

}  // namespace

void PrintMountTables(const MountRace& race, std::ostream& out) {
  for (const DecodeWay& way : kDecodeWays) {
    const MountSeries* decode = race.Find(kDecodeTest, way.system, "warm");
    if (decode == nullptr) continue;
    if (&way == kDecodeWays) out << "\nDecoding alone, all CPUs, GB/s and CPU seconds per GB\n";
    out << Padded(way.system, kTestWidth) << RateAndCpu(*decode) << "  " << way.summary << "\n";
  }
  PrintTable(race, "Cold: GB/s, then CPU seconds per GB of daemon + reader (or of the reader alone)", "cold",
             RateAndCpu, out);
  PrintTable(race, "Warm: the same for the third time", "warm", RateAndCpu, out);
  const auto ratio = [&](const MountSeries& series) {
    char text[32];
    const double squashfs = race.SquashfsRate(series);
    std::snprintf(text, sizeof text, "%6.2f", squashfs > 0 ? series.GbPerSecond() / squashfs : 0);
    return std::string(squashfs > 0 ? text : "-");
  };
  if (!race.squashfs.empty()) PrintTable(race, "Cold: times the better squashfs of the kernel", "cold", ratio, out);
  out.flush();
}

void PrintMountJson(const MountRace& race, std::ostream& out) {
  out << "[\n";
  for (size_t i = 0; i < race.series.size(); ++i) {
    const MountSeries& series = race.series[i];
    const double squashfs = race.SquashfsRate(series);
    const Json row = {
        {"test", series.test},
        {"system", series.system},
        {"state", series.state},
        {"gb_per_s", JsonNumber(series.GbPerSecond())},
        {"daemon_cpu_s_per_gb", JsonNumber(series.DaemonCpuPerGb())},
        {"client_cpu_s_per_gb", JsonNumber(series.ClientCpuPerGb())},
        {"ratio_to_squashfs", JsonNumber(squashfs > 0 ? series.GbPerSecond() / squashfs : 0)},
        {"rounds", series.samples.size()},
    };
    out << row.dump() << (i + 1 < race.series.size() ? ",\n" : "\n");
  }
  out << "]\n";
}

}  // namespace entrofs::bench
