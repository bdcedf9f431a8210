#include "bench/mount_race.h"

#include <algorithm>
#include <map>

#include "bench/measure.h"
#include "bench/scratch.h"

namespace entrofs::bench {
namespace {

constexpr double kTimeoutSeconds = 120;

double PerGb(double seconds, uint64_t bytes) { return bytes > 0 ? seconds / (1e-9 * static_cast<double>(bytes)) : 0; }

class Runner {
 public:
  Runner(const MountRaceOptions& options, MountRace& race) : options_(options), race_(race) {}

  // One turn of a server: cold and warm, or only warm when it is a plain file.
  Status Turn(FileServer& server, const AccessPattern& pattern) {
    if (refused_.contains({server.name, std::string(pattern.name)})) return OkStatus();
    ENTROFS_ASSIGN_OR_RETURN(ServedFile served, server.Serve());
    const PretouchedMemory memory(server.bytes_to_cache() * 3 / 2, server.fills_large_pages());
    Status status = OkStatus();
    if (!server.is_plain()) status = Measure(server, pattern, served, "cold");
    if (status && (server.is_plain() || options_.warm) && pattern.is_cached) {
      status = Warm(pattern, served);
      if (status) status = Measure(server, pattern, served, "warm");
    }
    if (status || status.error().code != ErrorCode::kUnsupported) return status;
    refused_[{server.name, std::string(pattern.name)}] = true;
    return OkStatus();
  }

  Status Decode() {
    ENTROFS_RETURN_IF_ERROR(FillPageCache(options_.archive_path));
    for (const DecodeWay& way : kDecodeWays) {
      ENTROFS_ASSIGN_OR_RETURN(
          Sample sample, MeasureInChild([&] { return DecodeArchive(options_.archive_path, way); }, kTimeoutSeconds));
      Add(kDecodeTest, way.system, "warm", sample, 0);
    }
    return OkStatus();
  }

 private:
  // Not measured: using a page for the second time makes the kernel move it to the list of active pages, once.
  static Status Warm(const AccessPattern& pattern, const ServedFile& served) {
    auto sample = MeasureInChild([&] { return pattern.run(served.file()); }, kTimeoutSeconds);
    return sample ? OkStatus() : Status(std::move(sample.error()));
  }

  Status Measure(FileServer& server, const AccessPattern& pattern, const ServedFile& served, const char* state) {
    const double before = served.DaemonCpuSeconds();
    auto sample = MeasureInChild([&] { return pattern.run(served.file()); }, kTimeoutSeconds);
    const double daemon = served.DaemonCpuSeconds() - before;
    if (!sample) return std::move(sample.error()).WithContext(server.name + ", " + std::string(pattern.name));
    Add(std::string(pattern.name), server.name, state, *sample, daemon);
    return OkStatus();
  }

  void Add(const std::string& test, const std::string& system, const std::string& state, const Sample& sample,
           double daemon) {
    MountSeries* series = const_cast<MountSeries*>(race_.Find(test, system, state));
    if (series == nullptr) series = &race_.series.emplace_back(MountSeries{test, system, state, {}, {}});
    series->samples.push_back(sample);
    series->daemon_cpu_seconds.push_back(daemon);
  }

  const MountRaceOptions& options_;
  MountRace& race_;
  std::map<std::pair<std::string, std::string>, bool> refused_;
};

}  // namespace

double MountSeries::GbPerSecond() const {
  std::vector<double> rates;
  for (const Sample& sample : samples) rates.push_back(1e-9 * static_cast<double>(sample.bytes) / sample.seconds);
  return Median(rates);
}

double MountSeries::ClientCpuPerGb() const {
  std::vector<double> costs;
  for (const Sample& sample : samples) costs.push_back(PerGb(sample.cpu_seconds, sample.bytes));
  return Median(costs);
}

double MountSeries::DaemonCpuPerGb() const {
  std::vector<double> costs;
  for (size_t i = 0; i < samples.size(); ++i) costs.push_back(PerGb(daemon_cpu_seconds[i], samples[i].bytes));
  return Median(costs);
}

double MountRace::SquashfsRate(const MountSeries& wanted) const {
  double best = 0;
  for (const std::string& system : squashfs) {
    const MountSeries* other = Find(wanted.test, system, wanted.state);
    if (other != nullptr) best = std::max(best, other->GbPerSecond());
  }
  return best;
}

const MountSeries* MountRace::Find(std::string_view test, std::string_view system, std::string_view state) const {
  for (const MountSeries& candidate : series) {
    if (candidate.test == test && candidate.system == system && candidate.state == state) return &candidate;
  }
  return nullptr;
}

Result<MountRace> RunMountRace(const std::vector<std::unique_ptr<FileServer>>& servers,
                               const std::vector<const AccessPattern*>& patterns, const MountRaceOptions& options,
                               std::ostream& progress) {
  MountRace race;
  for (const auto& server : servers) {
    if (server->is_squashfs()) race.squashfs.push_back(server->name);
  }
  Runner runner(options, race);
  for (int round = 0; round < options.rounds; ++round) {
    for (const AccessPattern* pattern : patterns) {
      progress << "round " << round + 1 << " of " << options.rounds << ": " << pattern->name << "\n" << std::flush;
      for (const auto& server : servers) {
        ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
        ENTROFS_RETURN_IF_ERROR(runner.Turn(*server, *pattern));
      }
    }
    if (!options.archive_path.empty()) ENTROFS_RETURN_IF_ERROR(runner.Decode());
  }
  return race;
}

}  // namespace entrofs::bench
