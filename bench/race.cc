#include "bench/race.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace entrofs::bench {
namespace {

constexpr int kMaxEncodeRepeats = 3;
constexpr size_t kMaxCores = 2;
constexpr size_t kMostTargetBytes = 512 << 20;

// Memory for the runs "to DRAM": larger than the last-level cache, so that what a run writes has left the caches before
// the same place is written again. Rotates through it.
class DramTarget {
 public:
  explicit DramTarget(size_t input_bytes) {
    const long cache_bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const size_t twice_cache = cache_bytes > 0 ? 2 * static_cast<size_t>(cache_bytes) : size_t{64} << 20;
    const size_t wanted = std::min(kMostTargetBytes, std::max(twice_cache, 4 * input_bytes));
    bytes_.Reserve(std::max(wanted, input_bytes));
    std::memset(bytes_.data(), 1, bytes_.size());
  }

  // The next `size` bytes; requires size <= the input's.
  uint8_t* Next(size_t size) {
    if (position_ + size > bytes_.size()) position_ = 0;
    uint8_t* place = bytes_.data() + position_;
    position_ += size;
    return place;
  }

 private:
  Buffer bytes_;
  size_t position_ = 0;
};

struct Runner {
  std::unique_ptr<Contender> contender;
  std::vector<std::unique_ptr<SegmentDecoder>> decoders;  // one per core
  std::vector<double> hot[kMaxCores];
  std::vector<double> dram[kMaxCores];
  std::vector<double> encode;
};

class RaceTrack {
 public:
  RaceTrack(const Input& input, const RaceOptions& options)
      : input_(input), options_(options), cores_(std::min(options.cpus.size(), kMaxCores)), dram_(input.plain.size()) {
    for (Buffer& buffer : hot_) buffer.Reserve(options.segment_bytes);
  }

  Status Prepare(Runner& runner) {
    runner.contender->Activate();
    runner.contender->Encode(input_.plain, options_.segment_bytes);
    for (size_t core = 0; core < cores_; ++core) runner.decoders.push_back(runner.contender->NewDecoder());
    for (size_t segment = 0; segment < segment_count(); ++segment) {
      const ByteSpan plain = Plain(segment);
      MutableByteSpan out(hot_[0].data(), plain.size());
      std::memset(out.data(), 0xA5, out.size());
      if (!runner.decoders[0]->Decode(segment, out) || std::memcmp(out.data(), plain.data(), plain.size()) != 0) {
        return Error{ErrorCode::kCorrupt, input_.name + ": " + runner.contender->codec + " (" +
                                              runner.contender->kernel + ") does not give back segment " +
                                              std::to_string(segment)};
      }
    }
    return OkStatus();
  }

  // Each kind of run goes round all contenders before the next, so that each finds the caches as cold as the others.
  void MeasureDecoding(std::span<Runner> runners) {
    for (size_t cores = 1; cores <= cores_; ++cores) {
      for (Runner& runner : runners) {
        runner.contender->Activate();
        runner.hot[cores - 1].push_back(DecodeRate(runner, cores, nullptr));
      }
      for (Runner& runner : runners) {
        runner.contender->Activate();
        runner.dram[cores - 1].push_back(DecodeRate(runner, cores, dram_.Next(input_.plain.size())));
      }
    }
  }

  void MeasureEncoding(Runner& runner) {
    runner.contender->Activate();
    const double start = ThreadSeconds();
    runner.contender->Encode(input_.plain, options_.segment_bytes);
    runner.encode.push_back(Rate(input_.plain.size(), ThreadSeconds() - start));
  }

 private:
  size_t segment_count() const { return (input_.plain.size() + options_.segment_bytes - 1) / options_.segment_bytes; }
  ByteSpan Plain(size_t segment) const {
    const size_t begin = segment * options_.segment_bytes;
    return ByteSpan(input_.plain).subspan(begin, std::min(options_.segment_bytes, input_.plain.size() - begin));
  }

  static double Rate(size_t bytes, double seconds) {
    return seconds > 0 ? static_cast<double>(bytes) / seconds * 1e-9 : 0;
  }

  // Every segment once, the cores taking turns over them; into `target` (the whole input) or, if null, a hot buffer.
  double DecodeRate(Runner& runner, size_t cores, uint8_t* target) {
    size_t bytes[kMaxCores] = {};
    const std::vector<double> seconds = RunTogether(options_.cpus, cores, [&](size_t core) {
      for (size_t segment = core; segment < segment_count(); segment += cores) {
        const size_t size = Plain(segment).size();
        uint8_t* out = target == nullptr ? hot_[core].data() : target + segment * options_.segment_bytes;
        runner.decoders[core]->Decode(segment, MutableByteSpan(out, size));
        bytes[core] += size;
      }
    });
    double rate = 0;
    for (size_t core = 0; core < cores; ++core) rate += Rate(bytes[core], seconds[core]);
    return rate;
  }

  const Input& input_;
  const RaceOptions& options_;
  size_t cores_;
  Buffer hot_[kMaxCores];
  DramTarget dram_;
};

bool IsPeerOfRatios(std::string_view codec) { return codec == kZstd1 || codec == kHuff0 || codec == kHtscodecs; }

std::vector<Runner> MakeRunners(const Input& input, const RaceOptions& options) {
  std::vector<Runner> runners;
  for (std::unique_ptr<Contender>& contender : MakeContenders(input.layout)) {
    const bool wanted =
        options.codecs.empty() || IsPeerOfRatios(contender->codec) ||
        std::find(options.codecs.begin(), options.codecs.end(), contender->codec) != options.codecs.end();
    if (!wanted) continue;
    runners.emplace_back();
    runners.back().contender = std::move(contender);
  }
  return runners;
}

double Entropy(const Input& input) {
  std::vector<codec::Histogram> histograms(input.layout.plane_count());
  codec::CountPlanes(input.layout, input.plain, histograms);
  double bits = 0;
  for (const codec::Histogram& histogram : histograms) bits += codec::EntropyBits(histogram);
  return bits / static_cast<double>(input.plain.size());
}

RaceResult Summarize(const Runner& runner, size_t plain_bytes) {
  return {
      .codec = runner.contender->codec,
      .kernel = runner.contender->kernel,
      .bits_per_byte = 8 * static_cast<double>(runner.contender->stored_bytes()) / static_cast<double>(plain_bytes),
      .one_core = {Median(runner.hot[0]), Median(runner.dram[0])},
      .two_cores = {Median(runner.hot[1]), Median(runner.dram[1])},
      .encode = Median(runner.encode),
  };
}

}  // namespace

Result<Race> RunRace(const Input& input, const RaceOptions& options) {
  PinThisThread(options.cpus.front());
  std::vector<Runner> runners = MakeRunners(input, options);
  RaceTrack track(input, options);
  for (Runner& runner : runners) ENTROFS_RETURN_IF_ERROR(track.Prepare(runner));
  std::vector<double> clock;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    clock.push_back(ClockGhz());
    track.MeasureDecoding(runners);
  }
  for (int repeat = 0; repeat < std::min(options.repeats, kMaxEncodeRepeats); ++repeat) {
    for (Runner& runner : runners) track.MeasureEncoding(runner);
  }
  Race race{.input = input.name,
            .plain_bytes = input.plain.size(),
            .entropy_bits_per_byte = Entropy(input),
            .clock_ghz = Median(clock),
            .results = {}};
  for (const Runner& runner : runners) race.results.push_back(Summarize(runner, input.plain.size()));
  return race;
}

double RatioTo(const Race& race, std::string_view peer, double rate, const DecodeRates RaceResult::*cores) {
  double best = 0;
  for (const RaceResult& result : race.results) {
    if (result.codec == peer) best = std::max(best, (result.*cores).hot);
  }
  return best > 0 ? rate / best : 0;
}

}  // namespace entrofs::bench
