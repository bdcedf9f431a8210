#include "bench/codec_report.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace entrofs::bench {
namespace {

using Json = nlohmann::ordered_json;

// "-" for what is unknown (zero).
std::string Number(double value, int decimals, int width) {
  char text[64];
  if (value == 0) {
    std::snprintf(text, sizeof text, "%*s", width, "-");
  } else {
    std::snprintf(text, sizeof text, "%*.*f", width, decimals, value);
  }
  return text;
}

// Null for what is unknown; five significant digits otherwise.
Json JsonNumber(double value) {
  if (value == 0 || !std::isfinite(value)) return nullptr;
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.5g", value);
  return std::strtod(digits, nullptr);
}

Json JsonRow(const Race& race, const RaceResult& result, int cores) {
  const auto rates = cores == 1 ? &RaceResult::one_core : &RaceResult::two_cores;
  const double hot = (result.*rates).hot;
  return {
      {"input", race.input},
      {"codec", result.codec + (race.input == kBf16TensorName ? "-merge" : "")},
      {"kernel", result.kernel},
      {"cores", cores},
      {"gb_per_s_hot", JsonNumber(hot)},
      {"gb_per_s_dram", JsonNumber((result.*rates).dram)},
      {"bits_per_byte", JsonNumber(result.bits_per_byte)},
      {"entropy_bits_per_byte", JsonNumber(race.entropy_bits_per_byte)},
      {"ratio_to_zstd1", JsonNumber(RatioTo(race, kZstd1, hot, rates))},
      {"ratio_to_huff0", JsonNumber(RatioTo(race, kHuff0, hot, rates))},
      {"ratio_to_htscodecs", JsonNumber(RatioTo(race, kHtscodecs, hot, rates))},
  };
}

double EncodeRatio(const Race& race, std::string_view peer, double rate) {
  double best = 0;
  for (const RaceResult& result : race.results) {
    if (result.codec == peer) best = std::max(best, result.encode);
  }
  return best > 0 ? rate / best : 0;
}

Json JsonEncodeRow(const Race& race, const RaceResult& result) {
  Json row = JsonRow(race, result, 1);
  row["codec"] = row["codec"].get<std::string>() + "-encode";
  row["gb_per_s_hot"] = JsonNumber(result.encode);
  row["gb_per_s_dram"] = nullptr;
  row["ratio_to_zstd1"] = JsonNumber(EncodeRatio(race, kZstd1, result.encode));
  row["ratio_to_huff0"] = JsonNumber(EncodeRatio(race, kHuff0, result.encode));
  row["ratio_to_htscodecs"] = JsonNumber(EncodeRatio(race, kHtscodecs, result.encode));
  return row;
}

void PrintRow(const Race& race, const RaceResult& result, std::ostream& out) {
  char names[64];
  std::snprintf(names, sizeof names, "%-10s %-8s", result.codec.c_str(), result.kernel.c_str());
  const double hot = result.one_core.hot;
  const double over = (result.bits_per_byte / race.entropy_bits_per_byte - 1) * 100;
  out << names << Number(result.bits_per_byte, 4, 8) << Number(over, 2, 8) << " %" << Number(hot, 2, 8)
      << Number(hot > 0 ? race.clock_ghz / hot : 0, 2, 7) << Number(result.one_core.dram, 2, 8)
      << Number(result.two_cores.hot, 2, 8) << Number(result.two_cores.dram, 2, 8)
      << Number(RatioTo(race, kZstd1, hot, &RaceResult::one_core), 2, 9)
      << Number(RatioTo(race, kHuff0, hot, &RaceResult::one_core), 2, 9)
      << Number(RatioTo(race, kHtscodecs, hot, &RaceResult::one_core), 2, 11) << Number(result.encode, 2, 9) << "\n";
}

}  // namespace

void PrintTable(const Race& race, std::ostream& out) {
  out << "\n"
      << race.input << ": " << FormatBytes(race.plain_bytes) << ", entropy " << Number(race.entropy_bits_per_byte, 4, 0)
      << " bits/byte, core clock " << Number(race.clock_ghz, 2, 0) << " GHz\n"
      << "                      bits    over    hot  cycles    DRAM    2 cores   DRAM  hot rate over            "
         "encode\n"
      << "codec      kernel    /byte  entropy    GB/s  /byte    GB/s    GB/s    GB/s   zstd-1    huff0  htscodecs"
      << "     GB/s\n";
  for (const RaceResult& result : race.results) PrintRow(race, result, out);
  out.flush();
}

void PrintJson(std::span<const Race> races, std::ostream& out) {
  Json rows = Json::array();
  for (const Race& race : races) {
    for (const RaceResult& result : race.results) {
      rows.push_back(JsonRow(race, result, 1));
      if (result.two_cores.hot > 0) rows.push_back(JsonRow(race, result, 2));
      rows.push_back(JsonEncodeRow(race, result));
    }
  }
  out << "[\n";
  for (size_t i = 0; i < rows.size(); ++i) out << rows[i].dump() << (i + 1 < rows.size() ? ",\n" : "\n");
  out << "]\n";
}

}  // namespace entrofs::bench
