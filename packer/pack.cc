#include "packer/pack.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>

#include "archive/archive_writer.h"
#include "archive/format.h"
#include "base/hash.h"
#include "packer/measure.h"
#include "packer/small_units.h"
#include "packer/source/ggml_types.h"
#include "packer/unfinished.h"
#include "packer/unit.h"
#include "packer/verify.h"

namespace entrofs::packer {
namespace {

using archive::ArchiveWriter;
using archive::Extent;

// Small units are not worth looking for twins of.
constexpr uint64_t kLeastSharedBytes = 1 << 10;
// Units of up to this size share tables.
constexpr uint64_t kMostSharingBytes = kMeasuredAheadBytes;
// Computed bytes of up to this size are kept from being measured until they are written.
constexpr uint64_t kMostKeptBytes = 64 << 20;
// How many of one kind of plane they have at most.
constexpr size_t kTablesPerBatch = 12;
constexpr uint64_t kSampleBlockBytes = 64 << 10;
// Rounded weights are noise, or repeat each other within a few rows.
constexpr uint64_t kCodesBlockBytes = 16 << 10;
constexpr size_t kMaxSampleBlocks = 16;
// What the archive adds to a coded segment: checksum, plane header, place in the index.
constexpr uint64_t kSegmentBytes = 20;
// Tables are fitted to so many of the units that are not coded.
constexpr size_t kFittedUnits = 8;
// Below this, one zstd frame does as well as anything else for a literal.
constexpr uint64_t kPlainLiteralBytes = 32 << 10;

// A multiple of every element and block of the measured layouts.
uint64_t SampleUnitBytes(const Measurement& measurement) {
  uint64_t bytes = 8;
  for (const LayoutCounts& counts : measurement.layouts) {
    bytes = std::lcm(bytes, uint64_t{counts.layout.unit_bytes()});
  }
  return bytes;
}

// As Measure takes them: without differences. (Of what follows a trellis the counts are known.)
std::vector<codec::Layout> LayoutsOf(const Unit& unit) {
  std::vector<codec::Layout> layouts = CandidateLayouts(unit);
  std::erase_if(layouts, [](const codec::Layout& layout) { return layout.delta; });
  return layouts;
}

// Evenly spread stretches of about `block_bytes`, of whole units of `bytes`, one in 64 or more; all of them when they
// are few.
Result<std::vector<uint8_t>> Sample(const RandomAccessFile& bytes, uint64_t block_bytes, uint64_t unit_bytes) {
  const uint64_t size = bytes.size();
  const uint64_t stretch_bytes = std::max(unit_bytes, block_bytes / unit_bytes * unit_bytes);
  std::vector<uint8_t> sample;
  if (size <= 4 * stretch_bytes) {
    sample.resize(size);
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(0, sample));
    return sample;
  }
  const size_t count = std::clamp<size_t>(static_cast<size_t>(size / stretch_bytes / 64), 1, kMaxSampleBlocks);
  sample.resize(count * stretch_bytes);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t offset = size / count * i / stretch_bytes * stretch_bytes;
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(offset, MutableByteSpan(sample).subspan(i * stretch_bytes, stretch_bytes)));
  }
  return sample;
}

// A size near `wished` that ends segments with whole units of the layout, and that an archive allows.
uint32_t SegmentBytes(uint32_t wished, const codec::Layout& layout) {
  if (layout.block.empty()) return wished;
  const uint64_t step = std::lcm(layout.unit_bytes(), codec::kSegmentGranularityBytes);
  const uint64_t least = (codec::kMinSegmentBytes + step - 1) / step * step;
  return static_cast<uint32_t>(std::max(least, wished / step * step));
}

// Bytes that are counted and forgotten.
class UnkeptFile : public NewFile {
 public:
  Status Append(ByteSpan bytes) override {
    size_bytes_ += bytes.size();
    return OkStatus();
  }
  uint64_t size() const override { return size_bytes_; }
  Status Commit() override { return OkStatus(); }
  const std::string& temporary_path() const override { return path_; }
  Status Flush() override { return OkStatus(); }

 private:
  uint64_t size_bytes_ = 0;
  const std::string path_;
};

// Whether the bytes of a unit are made from others when they are read.
bool IsComputed(const Unit& unit) { return !unit.tensors.empty() && !unit.tensors.front()->scheme.empty(); }

// What measuring bytes of these counts tells: those of equal bytes are equal.
Measurement AsMeasured(const OutputTensor& tensor) {
  const codec::Histogram& counts = *tensor.byte_counts;
  return {{{codec::Layout{.trellis = tensor.follows_trellis}, {counts}}},
          Hash64({reinterpret_cast<const uint8_t*>(counts.data()), counts.size() * sizeof(counts[0])})};
}

// Whether a unit is so small that its tables weigh.
bool IsSmall(const Unit& unit) { return unit.dtype && unit.bytes->size() <= kMostSharingBytes; }

class Packer {
 public:
  Packer(const OutputTree& tree, const PackOptions& options, bool foretells, ThreadPool& pool, Progress& progress,
         std::unique_ptr<NewFile> file)
      : tree_(tree),
        options_(options),
        foretells_(foretells),
        pool_(pool),
        progress_(progress),
        writer_(std::move(file), pool) {
    report_.quant = options.quant;
    report_.codec = Name(options.codec);
    report_.tables = options.one_table_per_archive ? "archive" : "tensor";
    report_.segment_bytes = options.segment_bytes;
  }

  Result<PackResult> Run() {
    if (options_.one_table_per_archive) ENTROFS_RETURN_IF_ERROR(BuildSharedTables());
    progress_.Start("packing", tree_.size_bytes());
    ENTROFS_RETURN_IF_ERROR(writer_.Start());
    for (const std::string& directory : tree_.directories) ENTROFS_RETURN_IF_ERROR(writer_.AddDirectory(directory));
    for (const OutputFile& file : tree_.files) {
      Status status = AddFile(file);
      if (!status) return std::move(status.error()).WithContext(file.path);
    }
    CountTablesAsStored();
    PackResult result;
    ENTROFS_ASSIGN_OR_RETURN(result.archive_bytes, writer_.Finish(ToJson(report_), Verifier()));
    result.archive_bytes += foretold_bytes_;
    result.report = std::move(report_);
    return result;
  }

 private:
  // What the report says about a unit.
  struct UnitFacts {
    std::string codec;
    double entropy_bits = 0;
  };
  // Something written before that later units may turn out to equal.
  struct Written {
    Extent extent;
    std::shared_ptr<const RandomAccessFile> bytes;
    UnitFacts facts;
  };

  Status BuildSharedTables() {
    progress_.Start("counting", tree_.size_bytes());
    shared_.emplace(1);
    for (const OutputFile& file : tree_.files) {
      for (const Unit& unit : CutIntoUnits(file)) {
        if (!unit.tensors.empty() && unit.tensors.front()->follows_trellis) {
          shared_->Add(AsMeasured(*unit.tensors.front()).layouts.front());
        } else {
          ENTROFS_ASSIGN_OR_RETURN(Measurement measurement, Measure(*unit.bytes, LayoutsOf(unit), pool_));
          if (unit.dtype) shared_->Add(measurement.layouts.front());
        }
        progress_.Advance(unit.bytes->size());
      }
    }
    return OkStatus();
  }

  bool SharesTables(const Unit& unit) const {
    return unit.dtype && shared_ && (options_.one_table_per_archive || IsSmall(unit));
  }

  // Tables for the small ones among these units.
  void ShareTables(const std::vector<PlannedUnit>& units) {
    std::vector<const PlannedUnit*> by_size;
    for (const PlannedUnit& planned : units) {
      if (IsSmall(planned.unit)) by_size.push_back(&planned);
    }
    std::stable_sort(by_size.begin(), by_size.end(), [](const PlannedUnit* a, const PlannedUnit* b) {
      return a->unit.bytes->size() > b->unit.bytes->size();
    });
    shared_.emplace(kTablesPerBatch);
    for (const PlannedUnit* planned : by_size) {
      for (const LayoutCounts& counts : LayoutsToTry(*planned->measurement)) shared_->Add(counts);
    }
  }

  Status AddFile(const OutputFile& file) {
    ENTROFS_RETURN_IF_ERROR(writer_.BeginFile(file.path, file.mode, file.mtime_ns));
    std::vector<TensorReport> reports;
    const std::vector<Unit> units = CutIntoUnits(file);
    for (size_t first = 0; first < units.size(); first += kMaxPlannedUnits) {
      const size_t count = std::min(kMaxPlannedUnits, units.size() - first);
      ENTROFS_ASSIGN_OR_RETURN(std::vector<PlannedUnit> planned,
                               PlanUnits(std::span(units).subspan(first, count), options_.segment_bytes, pool_));
      if (!options_.one_table_per_archive) ShareTables(planned);
      for (const PlannedUnit& unit : planned) {
        ENTROFS_RETURN_IF_ERROR(AddUnit(unit, reports));
        progress_.Advance(unit.unit.bytes->size());
      }
    }
    AppendReports(file, std::move(reports));
    if (file.source) ENTROFS_RETURN_IF_ERROR(file.source->CheckUnchanged());
    return writer_.EndFile();
  }

  Status AddUnit(const PlannedUnit& planned, std::vector<TensorReport>& reports) {
    const Unit& unit = planned.unit;
    if (planned.measurement) return AddUnit(unit, *planned.measurement, *unit.bytes, reports);
    if (unit.tensors.size() == 1 && unit.tensors.front()->byte_counts) {
      const Measurement measurement = AsMeasured(*unit.tensors.front());
      if (!foretells_) return AddUnit(unit, measurement, *unit.bytes, reports);
      Foretell(unit, measurement, reports);
      return OkStatus();
    }
    std::shared_ptr<const RandomAccessFile> bytes = unit.bytes;
    if (IsComputed(unit) && bytes->size() <= kMostKeptBytes) {
      ENTROFS_ASSIGN_OR_RETURN(bytes, InMemory(*bytes, pool_));
    }
    ENTROFS_ASSIGN_OR_RETURN(Measurement measurement,
                             bytes->size() <= kMeasuredAtOnceBytes
                                 ? MeasureAtOnce(*bytes, CandidateLayouts(unit), options_.segment_bytes)
                                 : Measure(*bytes, LayoutsOf(unit), pool_));
    return AddUnit(unit, measurement, *bytes, reports);
  }

  // `bytes` are the unit's, perhaps nearer at hand.
  Status AddUnit(const Unit& unit, const Measurement& measurement, const RandomAccessFile& bytes,
                 std::vector<TensorReport>& reports) {
    auto source = [&bytes](uint64_t offset, MutableByteSpan out) { return bytes.ReadAt(offset, out); };
    ENTROFS_ASSIGN_OR_RETURN(const Written* twin, FindTwin(unit, measurement.fingerprint));
    if (twin != nullptr) {
      AddToReport(unit, twin->facts, 0, 0, reports);
      return writer_.AddSharedExtent(twin->extent, unit.name, source);
    }
    ENTROFS_ASSIGN_OR_RETURN(Coding coding, Choose(unit, measurement));
    ArchiveWriter::ExtentOptions extent_options{.name = unit.name,
                                                .plain_bytes = unit.bytes->size(),
                                                .segment_bytes = SegmentBytes(options_.segment_bytes, coding.layout),
                                                .layout = coding.layout,
                                                .planes = coding.planes,
                                                .tables = {}};
    uint64_t table_bytes = 0;
    for (const codec::PlaneEncoder& plane : coding.planes) {
      extent_options.tables.push_back(AddTable(plane, table_bytes));
    }
    ENTROFS_ASSIGN_OR_RETURN(Extent extent, writer_.AddExtent(extent_options, source));
    UnitFacts facts{coding.CodecNames(), coding.entropy_bits};
    AddToReport(unit, facts, extent.stored_bytes, table_bytes, reports);
    if (unit.bytes->size() >= kLeastSharedBytes) {
      written_.emplace(measurement.fingerprint, Written{std::move(extent), unit.bytes, std::move(facts)});
    }
    return OkStatus();
  }

  // Counts what the unit will take without coding it. What coding adds to entropy is nearly the same for all, so tables
  // are fitted only to the first few.
  void Foretell(const Unit& unit, const Measurement& measurement, std::vector<TensorReport>& reports) {
    const double entropy_bits = measurement.layouts[0].EntropyBits();
    UnitFacts facts{std::string(codec::Name(codec::CodecKind::kTans)), entropy_bits};
    double bytes = entropy_bits * foretold_per_entropy_bit_;
    if (foretold_units_ < kFittedUnits) {
      const CodingOptions options{options_.codec, options_.segment_bytes, SharesTables(unit) ? &*shared_ : nullptr,
                                  options_.one_table_per_archive, /*is_rounded=*/true};
      const Coding coding = ChooseCoding(measurement, {}, options);
      facts.codec = coding.CodecNames();
      bytes = coding.estimated_bytes;
      fitted_bytes_ += bytes;
      fitted_entropy_bits_ += entropy_bits;
      if (fitted_entropy_bits_ > 0) foretold_per_entropy_bit_ = fitted_bytes_ / fitted_entropy_bits_;
    }
    ++foretold_units_;
    const uint64_t segments = (unit.bytes->size() + options_.segment_bytes - 1) / options_.segment_bytes;
    const uint64_t stored = static_cast<uint64_t>(bytes) + segments * kSegmentBytes;
    foretold_bytes_ += stored;
    AddToReport(unit, facts, stored, 0, reports);
  }

  Result<Coding> Choose(const Unit& unit, const Measurement& measurement) {
    if (!unit.dtype && unit.bytes->size() < kPlainLiteralBytes && options_.codec != CodecChoice::kStored) {
      return Coding{codec::Layout{}, {{codec::CodecKind::kZstd, nullptr}}, measurement.layouts[0].EntropyBits()};
    }
    const bool is_rounded = IsComputed(unit) && unit.tensors.front()->weight_count > 0;
    const uint64_t block_bytes = is_rounded ? kCodesBlockBytes : kSampleBlockBytes;
    ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> sample,
                             Sample(*unit.bytes, block_bytes, SampleUnitBytes(measurement)));
    CodingOptions options{options_.codec, options_.segment_bytes, SharesTables(unit) ? &*shared_ : nullptr,
                          options_.one_table_per_archive, is_rounded};
    // The choice of a coder is about tensors.
    if (!unit.dtype && options.codec != CodecChoice::kStored && !IsAutomatic(options.codec)) {
      options.codec = CodecChoice::kAuto;
    }
    return ChooseCoding(measurement, sample, options);
  }

  // The number of the plane's table; adds its size to `bytes` when it is new.
  uint32_t AddTable(const codec::PlaneEncoder& plane, uint64_t& bytes) {
    if (!plane.table) return archive::kNoTable;
    ByteSpan serialized = codec::SerializedTable(*plane.table);
    const uint32_t number = writer_.AddTable(plane.kind, serialized);
    if (number == table_count_) {
      ++table_count_;
      bytes += serialized.size();
      tables_.insert(tables_.end(), serialized.begin(), serialized.end());
    }
    return number;
  }

  // A unit of the same bytes written before, or null.
  Result<const Written*> FindTwin(const Unit& unit, uint64_t fingerprint) {
    auto [first, last] = written_.equal_range(fingerprint);
    for (auto it = first; it != last; ++it) {
      ENTROFS_ASSIGN_OR_RETURN(bool same, SameBytes(*unit.bytes, *it->second.bytes, pool_));
      if (same) return static_cast<const Written*>(&it->second);
    }
    return static_cast<const Written*>(nullptr);
  }

  // `table_bytes` come on top of `segment_bytes`.
  void AddToReport(const Unit& unit, const UnitFacts& facts, uint64_t segment_bytes, uint64_t table_bytes,
                   std::vector<TensorReport>& reports) {
    if (unit.tensors.empty()) {
      report_.other_plain_bytes += unit.bytes->size();
      report_.other_archive_bytes += segment_bytes + table_bytes;
      other_table_bytes_ += table_bytes;
      return;
    }
    uint64_t segments_left = segment_bytes, tables_left = table_bytes;
    for (const OutputTensor* tensor : unit.tensors) {
      const bool is_last = tensor == unit.tensors.back();
      const double share = static_cast<double>(tensor->bytes->size()) / static_cast<double>(unit.bytes->size());
      auto part = [&](uint64_t all, uint64_t& left) {
        const uint64_t bytes = is_last ? left : static_cast<uint64_t>(static_cast<double>(all) * share);
        left -= bytes;
        return bytes;
      };
      TensorReport report;
      report.name = tensor->name;
      report.codec = facts.codec;
      report.entropy_bits = static_cast<uint64_t>(std::llround(facts.entropy_bits * share));
      report.table_bytes = part(table_bytes, tables_left);
      report.archive_bytes = part(segment_bytes, segments_left) + report.table_bytes;
      reports.push_back(std::move(report));
    }
  }

  // Tables lie in the index, which is compressed: what each was counted for shrinks as all of them do together.
  void CountTablesAsStored() {
    if (tables_.empty()) return;
    const double share =
        static_cast<double>(archive::CompressBlock(tables_).size()) / static_cast<double>(tables_.size());
    auto saved = [share](uint64_t table_bytes) {
      return table_bytes - static_cast<uint64_t>(static_cast<double>(table_bytes) * std::min(share, 1.0));
    };
    for (TensorReport& tensor : report_.tensors) tensor.archive_bytes -= saved(tensor.table_bytes);
    report_.other_archive_bytes -= saved(other_table_bytes_);
  }

  // Completes the reports on the tensors of `file` and appends them in the order of the file. Zero-size tensors, which
  // are in no unit, join here.
  void AppendReports(const OutputFile& file, std::vector<TensorReport> reports) {
    size_t next = 0;
    for (const Piece& piece : file.pieces) {
      const auto* tensor = std::get_if<OutputTensor>(&piece);
      if (tensor == nullptr) continue;
      TensorReport report;
      if (tensor->bytes->size() > 0) {
        report = std::move(reports[next++]);
      } else {
        report.name = tensor->name;
        report.codec = codec::Name(codec::CodecKind::kStored);
      }
      report.file = file.path;
      report.dtype = tensor->dtype;
      if (tensor->blocks != nullptr) report.block_type = tensor->blocks->name;
      report.shape = tensor->shape;
      report.plain_bytes = tensor->bytes->size();
      report.weight_count = tensor->weight_count;
      report.belongs_to = tensor->belongs_to;
      report.scheme = tensor->scheme;
      report.error = tensor->error;
      report.output_error = tensor->output_error;
      report_.tensors.push_back(std::move(report));
    }
  }

  ArchiveWriter::Verify Verifier() {
    if (!options_.verify) return nullptr;
    return [this](const std::string& temporary_path) { return VerifyArchive(temporary_path, pool_, progress_); };
  }

  const OutputTree& tree_;
  const PackOptions& options_;
  const bool foretells_;
  ThreadPool& pool_;
  Progress& progress_;
  ArchiveWriter writer_;
  Report report_;
  std::optional<SharedTables> shared_;  // by all of the archive, or by the small tensors planned last
  std::unordered_multimap<uint64_t, Written> written_;
  uint32_t table_count_ = 0;
  std::vector<uint8_t> tables_;  // one after another
  uint64_t other_table_bytes_ = 0;
  // Of what was foretold instead of coded.
  size_t foretold_units_ = 0;
  uint64_t foretold_bytes_ = 0;
  double fitted_bytes_ = 0;
  double fitted_entropy_bits_ = 0;
  double foretold_per_entropy_bit_ = 1.0 / 8;
};

}  // namespace

Result<PackResult> Pack(const OutputTree& tree, const std::string& output_path, const PackOptions& options,
                        ThreadPool& pool, Progress& progress) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, CreateUnfinishedFile(output_path));
  return Packer(tree, options, /*foretells=*/false, pool, progress, std::move(file)).Run();
}

Result<PackResult> RehearsePacking(const OutputTree& tree, const PackOptions& options, Rehearsal rehearsal,
                                   ThreadPool& pool, Progress& progress) {
  PackOptions unread = options;
  unread.verify = false;
  const bool foretells = rehearsal == Rehearsal::kForetold;
  return Packer(tree, unread, foretells, pool, progress, std::make_unique<UnkeptFile>()).Run();
}

}  // namespace entrofs::packer
