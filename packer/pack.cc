#include "packer/pack.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>

#include "archive/archive_writer.h"
#include "packer/ggml_types.h"
#include "packer/measure.h"
#include "packer/small_units.h"
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
constexpr size_t kMaxSampleBlocks = 16;
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

// As Measure takes them: without differences.
std::vector<codec::Layout> LayoutsOf(const Unit& unit) {
  std::vector<codec::Layout> layouts = CandidateLayouts(unit);
  std::erase_if(layouts, [](const codec::Layout& layout) { return layout.delta; });
  return layouts;
}

// Evenly spread stretches of whole units of `bytes`, about one in 64; all of them when they are few.
Result<std::vector<uint8_t>> Sample(const RandomAccessFile& bytes, uint64_t unit_bytes) {
  const uint64_t size = bytes.size();
  const uint64_t stretch_bytes = std::max(unit_bytes, kSampleBlockBytes / unit_bytes * unit_bytes);
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

// Whether a unit is so small that its tables weigh.
bool IsSmall(const Unit& unit) { return unit.dtype && unit.bytes->size() <= kMostSharingBytes; }

class Packer {
 public:
  Packer(const OutputTree& tree, const PackOptions& options, ThreadPool& pool, Progress& progress,
         std::unique_ptr<NewFile> file)
      : tree_(tree), options_(options), pool_(pool), progress_(progress), writer_(std::move(file), pool) {
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
    PackResult result;
    ENTROFS_ASSIGN_OR_RETURN(result.archive_bytes, writer_.Finish(ToJson(report_), Verifier()));
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
        ENTROFS_ASSIGN_OR_RETURN(Measurement measurement, Measure(*unit.bytes, LayoutsOf(unit), pool_));
        if (unit.dtype) shared_->Add(measurement.layouts.front());
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
      AddToReport(unit, twin->facts, 0, reports);
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
    AddToReport(unit, facts, extent.stored_bytes + table_bytes, reports);
    if (unit.bytes->size() >= kLeastSharedBytes) {
      written_.emplace(measurement.fingerprint, Written{std::move(extent), unit.bytes, std::move(facts)});
    }
    return OkStatus();
  }

  Result<Coding> Choose(const Unit& unit, const Measurement& measurement) {
    if (!unit.dtype && unit.bytes->size() < kPlainLiteralBytes && options_.codec != CodecChoice::kStored) {
      return Coding{codec::Layout{}, {{codec::CodecKind::kZstd, nullptr}}, measurement.layouts[0].EntropyBits()};
    }
    ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> sample, Sample(*unit.bytes, SampleUnitBytes(measurement)));
    CodingOptions options{options_.codec, options_.segment_bytes, SharesTables(unit) ? &*shared_ : nullptr,
                          options_.one_table_per_archive};
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

  void AddToReport(const Unit& unit, const UnitFacts& facts, uint64_t archive_bytes,
                   std::vector<TensorReport>& reports) {
    if (unit.tensors.empty()) {
      report_.other_plain_bytes += unit.bytes->size();
      report_.other_archive_bytes += archive_bytes;
      return;
    }
    uint64_t rest = archive_bytes;
    for (const OutputTensor* tensor : unit.tensors) {
      const double share = static_cast<double>(tensor->bytes->size()) / static_cast<double>(unit.bytes->size());
      TensorReport report;
      report.name = tensor->name;
      report.codec = facts.codec;
      report.entropy_bits = static_cast<uint64_t>(std::llround(facts.entropy_bits * share));
      report.archive_bytes =
          tensor == unit.tensors.back() ? rest : static_cast<uint64_t>(static_cast<double>(archive_bytes) * share);
      rest -= report.archive_bytes;
      reports.push_back(std::move(report));
    }
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
  ThreadPool& pool_;
  Progress& progress_;
  ArchiveWriter writer_;
  Report report_;
  std::optional<SharedTables> shared_;  // by all of the archive, or by the small tensors planned last
  std::unordered_multimap<uint64_t, Written> written_;
  uint32_t table_count_ = 0;
};

}  // namespace

Result<PackResult> Pack(const OutputTree& tree, const std::string& output_path, const PackOptions& options,
                        ThreadPool& pool, Progress& progress) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, CreateUnfinishedFile(output_path));
  return Packer(tree, options, pool, progress, std::move(file)).Run();
}

Result<PackResult> RehearsePacking(const OutputTree& tree, const PackOptions& options, ThreadPool& pool,
                                   Progress& progress) {
  PackOptions unread = options;
  unread.verify = false;
  return Packer(tree, unread, pool, progress, std::make_unique<UnkeptFile>()).Run();
}

}  // namespace entrofs::packer
