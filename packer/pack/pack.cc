#include "packer/pack/pack.h"

#include <algorithm>
#include <unordered_map>

#include "archive/archive_writer.h"
#include "packer/pack/extent_coder.h"
#include "packer/pack/extent_input.h"
#include "packer/pack/extent_plan.h"
#include "packer/pack/forecast.h"
#include "packer/pack/measure.h"
#include "packer/pack/report_builder.h"
#include "packer/pack/view_writer.h"
#include "packer/read/unfinished.h"
#include "packer/read/verify.h"

namespace entrofs::packer::pack {
namespace {

using archive::ArchiveWriter;
using archive::Extent;

// Small inputs are not worth looking for twins of.
constexpr uint64_t kLeastSharedBytes = 1 << 10;
// Computed bytes of up to this size are kept from being measured until they are written.
constexpr uint64_t kMostKeptBytes = 64 << 20;

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

class Packer {
 public:
  Packer(const tree::OutputTree& tree, const PackOptions& options, bool foretells, ThreadPool& pool,
         read::Progress& progress, std::unique_ptr<NewFile> file)
      : tree_(tree),
        options_(options),
        foretells_(foretells),
        pool_(pool),
        progress_(progress),
        writer_(std::move(file), pool),
        coder_(options),
        forecast_(coder_, options),
        report_(options) {}

  Result<PackResult> Run() {
    if (options_.one_table_per_archive) {
      ENTROFS_RETURN_IF_ERROR(coder_.ShareTablesOfArchive(tree_, pool_, progress_));
    }
    progress_.Start("packing", tree_.size_bytes());
    ENTROFS_RETURN_IF_ERROR(writer_.Start());
    for (const std::string& directory : tree_.directories) ENTROFS_RETURN_IF_ERROR(writer_.AddDirectory(directory));
    for (const tree::OutputFile& file : tree_.files) {
      Status status = AddFile(file);
      if (!status) return std::move(status.error()).WithContext(file.path);
    }
    if (!foretells_ && !tree_.views.empty()) ENTROFS_RETURN_IF_ERROR(AddViews(tree_, places_, writer_));
    PackResult result;
    result.report = report_.Finish();
    ENTROFS_ASSIGN_OR_RETURN(result.archive_bytes, writer_.Finish(report::ToJson(result.report), Verifier()));
    result.archive_bytes += forecast_.stored_bytes();
    return result;
  }

 private:
  // Something written before that later inputs may turn out to equal.
  struct Written {
    Extent extent;
    std::shared_ptr<const RandomAccessFile> bytes;
    std::string codec;
    double entropy_bits = 0;
  };

  Status AddFile(const tree::OutputFile& file) {
    if (file.is_shown) ENTROFS_RETURN_IF_ERROR(writer_.BeginFile(file.path, file.mode, file.mtime_ns));
    const std::vector<ExtentInput> inputs = CutIntoExtents(file);
    for (size_t first = 0; first < inputs.size(); first += kMaxPlannedExtents) {
      const size_t count = std::min(kMaxPlannedExtents, inputs.size() - first);
      ENTROFS_ASSIGN_OR_RETURN(std::vector<PlannedExtent> planned,
                               PlanExtents(std::span(inputs).subspan(first, count), options_.segment_bytes, pool_));
      if (!options_.one_table_per_archive) coder_.ShareTablesOf(planned);
      for (const PlannedExtent& extent : planned) {
        ENTROFS_RETURN_IF_ERROR(AddPlanned(extent, file.is_shown));
        progress_.Advance(extent.input.bytes->size());
      }
    }
    report_.EndFile(file);
    if (file.source) ENTROFS_RETURN_IF_ERROR(file.source->CheckUnchanged());
    return file.is_shown ? writer_.EndFile() : OkStatus();
  }

  Status AddPlanned(const PlannedExtent& planned, bool is_shown) {
    const ExtentInput& input = planned.input;
    if (planned.measurement) return AddMeasured(input, *planned.measurement, *input.bytes, is_shown);
    if (input.tensors.size() == 1 && input.tensors.front()->byte_counts) {
      const Measurement measurement = AsMeasured(*input.tensors.front());
      if (!foretells_) return AddMeasured(input, measurement, *input.bytes, is_shown);
      const Forecast::Foretold foretold = forecast_.Add(input, measurement);
      report_.AddExtent(input, {foretold.codec, foretold.entropy_bits, foretold.stored_bytes, 0});
      return OkStatus();
    }
    std::shared_ptr<const RandomAccessFile> bytes = input.bytes;
    if (IsComputed(input) && bytes->size() <= kMostKeptBytes) {
      ENTROFS_ASSIGN_OR_RETURN(bytes, tree::InMemory(*bytes, pool_));
    }
    ENTROFS_ASSIGN_OR_RETURN(const Measurement measurement, coder_.Measured(input, *bytes, pool_));
    return AddMeasured(input, measurement, *bytes, is_shown);
  }

  // `bytes` are the input's, perhaps nearer at hand.
  Status AddMeasured(const ExtentInput& input, const Measurement& measurement, const RandomAccessFile& bytes,
                     bool is_shown) {
    auto source = [&bytes](uint64_t offset, MutableByteSpan out) { return bytes.ReadAt(offset, out); };
    ENTROFS_ASSIGN_OR_RETURN(const Written* twin, FindTwin(input, measurement.fingerprint));
    if (twin != nullptr) {
      report_.AddExtent(input, {twin->codec, twin->entropy_bits, 0, 0});
      ENTROFS_RETURN_IF_ERROR(places_.Note(input, twin->extent, writer_));
      return is_shown ? writer_.AddSharedExtent(twin->extent, input.name, source) : OkStatus();
    }
    ENTROFS_ASSIGN_OR_RETURN(const Coding coding, coder_.Choose(input, measurement));
    ArchiveWriter::ExtentOptions extent_options{.name = input.name,
                                                .plain_bytes = input.bytes->size(),
                                                .segment_bytes = coder_.SegmentBytes(coding.layout),
                                                .layout = coding.layout,
                                                .planes = coding.planes,
                                                .tables = {}};
    uint64_t table_bytes = 0;
    for (const codec::PlaneEncoder& plane : coding.planes) {
      extent_options.tables.push_back(AddTable(plane, table_bytes));
    }
    ENTROFS_ASSIGN_OR_RETURN(Extent extent, is_shown ? writer_.AddExtent(extent_options, source)
                                                     : writer_.AddPoolExtent(extent_options, source));
    ENTROFS_RETURN_IF_ERROR(places_.Note(input, extent, writer_));
    report_.AddExtent(input, {coding.CodecNames(), coding.entropy_bits, extent.stored_bytes, table_bytes});
    if (input.bytes->size() >= kLeastSharedBytes) {
      written_.emplace(measurement.fingerprint,
                       Written{std::move(extent), input.bytes, coding.CodecNames(), coding.entropy_bits});
    }
    return OkStatus();
  }

  // The number of the plane's table; adds its size to `bytes` when it is new.
  uint32_t AddTable(const codec::PlaneEncoder& plane, uint64_t& bytes) {
    if (!plane.table) return archive::kNoTable;
    const ByteSpan serialized = codec::SerializedTable(*plane.table);
    const uint32_t number = writer_.AddTable(plane.kind, serialized);
    if (number == table_count_) {
      ++table_count_;
      bytes += serialized.size();
      report_.AddTable(serialized);
    }
    return number;
  }

  // An input of the same bytes written before, or null.
  Result<const Written*> FindTwin(const ExtentInput& input, uint64_t fingerprint) {
    auto [first, last] = written_.equal_range(fingerprint);
    for (auto it = first; it != last; ++it) {
      ENTROFS_ASSIGN_OR_RETURN(bool same, SameBytes(*input.bytes, *it->second.bytes, pool_));
      if (same) return static_cast<const Written*>(&it->second);
    }
    return static_cast<const Written*>(nullptr);
  }

  ArchiveWriter::Verify Verifier() {
    if (!options_.verify) return nullptr;
    return [this](const std::string& temporary_path) { return read::VerifyArchive(temporary_path, pool_, progress_); };
  }

  const tree::OutputTree& tree_;
  const PackOptions& options_;
  const bool foretells_;
  ThreadPool& pool_;
  read::Progress& progress_;
  ArchiveWriter writer_;
  ExtentCoder coder_;
  Forecast forecast_;
  ReportBuilder report_;
  StoredPlaces places_;
  std::unordered_multimap<uint64_t, Written> written_;
  uint32_t table_count_ = 0;
};

}  // namespace

Result<PackResult> Pack(const tree::OutputTree& tree, const std::string& output_path, const PackOptions& options,
                        ThreadPool& pool, read::Progress& progress) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<NewFile> file, read::CreateUnfinishedFile(output_path));
  return Packer(tree, options, /*foretells=*/false, pool, progress, std::move(file)).Run();
}

Result<PackResult> RehearsePacking(const tree::OutputTree& tree, const PackOptions& options, Rehearsal rehearsal,
                                   ThreadPool& pool, read::Progress& progress) {
  PackOptions unread = options;
  unread.verify = false;
  const bool foretells = rehearsal == Rehearsal::kForetold;
  return Packer(tree, unread, foretells, pool, progress, std::make_unique<UnkeptFile>()).Run();
}

}  // namespace entrofs::packer::pack
