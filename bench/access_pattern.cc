#include "bench/access_pattern.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "base/file.h"

namespace entrofs::bench {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kTensorBytes = 16 * kMiB;
// Patterns of single pages read this much at most.
constexpr uint64_t kRandomTouchBytes = 128 * kMiB;
constexpr uint64_t kRandomPages = 2000;

double CpuSeconds() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Runs `body`, which returns the bytes it has read.
template <typename Body>
Result<Sample> Time(Body body) {
  const double cpu = CpuSeconds(), start = NowSeconds();
  Result<uint64_t> bytes = body();
  const Sample sample{NowSeconds() - start, CpuSeconds() - cpu, bytes ? *bytes : 0};
  if (!bytes) return bytes.error();
  return sample;
}

class OpenFile {
 public:
  OpenFile(const ModelFile& file, int flags = 0) : fd_(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | flags)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_;
};

class Mapping {
 public:
  Mapping(const ModelFile& file, int flags = 0) : size_(file.bytes) {
    OpenFile open(file);
    if (open.ok()) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED | flags, open.fd(), 0);
  }
  ~Mapping() {
    if (ok()) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bool ok() const { return data_ != MAP_FAILED; }
  uint8_t* data() const { return static_cast<uint8_t*>(data_); }

 private:
  void* data_ = MAP_FAILED;
  size_t size_;
};

// Memory that is there already, and whose start is not that of a page, so that memcpy runs forward.
class Destination {
 public:
  explicit Destination(size_t size) : base_(std::aligned_alloc(kPage, size + 2 * kPage)) {
    std::memset(base_, 1, size + 2 * kPage);
  }
  ~Destination() { std::free(base_); }
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;
  uint8_t* data() const { return static_cast<uint8_t*>(base_) + 1024; }
  uint8_t* aligned() const { return static_cast<uint8_t*>(base_); }

 private:
  void* base_;
};

Error Refused(const ModelFile& file) {
  if (errno == EINVAL || errno == ENODEV) return Error{ErrorCode::kUnsupported, file.path + ": refused"};
  return SystemError("cannot read " + file.path, errno);
}

Error EndedEarly(const ModelFile& file) { return Error{ErrorCode::kIo, file.path + ": shorter than expected"}; }

uint64_t TouchPages(const uint8_t* begin, const uint8_t* end) {
  uint64_t sum = 0;
  for (const uint8_t* page = begin; page < end; page += kPage) sum += *static_cast<const volatile uint8_t*>(page);
  return sum;
}

Result<Sample> ReadAll(const ModelFile& file, size_t piece, int flags) {
  Destination out(piece);
  return Time([&]() -> Result<uint64_t> {
    OpenFile open(file, flags);
    if (!open.ok()) return Refused(file);
    uint64_t offset = 0;
    while (offset < file.bytes) {
      const ssize_t count = ::read(open.fd(), out.aligned(), piece);
      if (count < 0) return Refused(file);
      if (count == 0) return EndedEarly(file);
      offset += static_cast<uint64_t>(count);
    }
    return offset;
  });
}

template <size_t kPiece>
Result<Sample> Read(const ModelFile& file) {
  return ReadAll(file, kPiece, 0);
}

template <size_t kPiece>
Result<Sample> ReadDirect(const ModelFile& file) {
  return ReadAll(file, kPiece, O_DIRECT);
}

template <int kMapFlags, int kAdvice>
Result<Sample> Touch(const ModelFile& whole) {
  ModelFile file = whole;
  if (kAdvice == MADV_RANDOM) file.bytes = std::min(file.bytes, kRandomTouchBytes);
  return Time([&]() -> Result<uint64_t> {
    Mapping map(file, kMapFlags);
    if (!map.ok()) return Refused(file);
    if (kAdvice != MADV_NORMAL) ::madvise(map.data(), file.bytes, kAdvice);
    TouchPages(map.data(), map.data() + file.bytes);
    return file.bytes;
  });
}

Result<Sample> TouchByTwo(const ModelFile& file) {
  return Time([&]() -> Result<uint64_t> {
    Mapping map(file);
    if (!map.ok()) return Refused(file);
    const uint8_t* middle = map.data() + file.bytes / 2 / kPage * kPage;
    std::thread second([&] { TouchPages(middle, map.data() + file.bytes); });
    TouchPages(map.data(), middle);
    second.join();
    return file.bytes;
  });
}

// Offsets of all whole pieces of the weights.
std::vector<uint64_t> Pieces(const ModelFile& file, uint64_t piece) {
  std::vector<uint64_t> offsets;
  for (uint64_t at = file.weights_begin; at + piece <= file.bytes; at += piece) offsets.push_back(at);
  return offsets;
}

std::vector<uint64_t> Shuffled(std::vector<uint64_t> offsets) {
  uint64_t state = 1;
  for (size_t i = offsets.size(); i > 1; --i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::swap(offsets[i - 1], offsets[(state >> 33) % i]);
  }
  return offsets;
}

uint64_t TensorBytes(const ModelFile& file) { return std::min(kTensorBytes, (file.bytes - file.weights_begin) / 4); }

Result<Sample> CopyTensors(const ModelFile& file, const std::vector<uint64_t>& offsets,
                           void (*copy)(uint8_t* to, const uint8_t* from, size_t size)) {
  const uint64_t size = TensorBytes(file);
  Destination out(size);
  return Time([&]() -> Result<uint64_t> {
    Mapping map(file);
    if (!map.ok()) return Refused(file);
    for (uint64_t offset : offsets) copy(out.data(), map.data() + offset, size);
    return offsets.size() * size;
  });
}

void CopyForward(uint8_t* to, const uint8_t* from, size_t size) { std::memcpy(to, from, size); }

void CopyBackward(uint8_t* to, const uint8_t* from, size_t size) {
  for (size_t end = size; end > 0;) {
    const size_t count = std::min<size_t>(end, kPage);
    end -= count;
    std::memcpy(to + end, from + end, count);
  }
}

Result<Sample> CopyInOrder(const ModelFile& file) {
  return CopyTensors(file, Pieces(file, TensorBytes(file)), CopyForward);
}

Result<Sample> CopyInRandomOrder(const ModelFile& file) {
  return CopyTensors(file, Shuffled(Pieces(file, TensorBytes(file))), CopyForward);
}

Result<Sample> CopyTensorsBackward(const ModelFile& file) {
  return CopyTensors(file, Pieces(file, TensorBytes(file)), CopyBackward);
}

template <size_t kPiece>
Result<Sample> ReadAtRandom(const ModelFile& file) {
  std::vector<uint64_t> offsets = Shuffled(Pieces(file, kPiece));
  if (kPiece == kPage) offsets.resize(std::min<size_t>(offsets.size(), kRandomPages));
  Destination out(kPiece);
  return Time([&]() -> Result<uint64_t> {
    OpenFile open(file);
    if (!open.ok()) return Refused(file);
    for (uint64_t offset : offsets) {
      const ssize_t count = ::pread(open.fd(), out.aligned(), kPiece, static_cast<off_t>(offset));
      if (count < 0) return Refused(file);
      if (static_cast<size_t>(count) < kPiece) return EndedEarly(file);
    }
    return offsets.size() * kPiece;
  });
}

constexpr AccessPattern kPatterns[] = {
    {"read-128k", "read() of 128 KiB after 128 KiB", true, Read<128 << 10>},
    {"read-1m", "read() of 1 MiB after 1 MiB", true, Read<kMiB>},
    {"read-16m", "read() of 16 MiB after 16 MiB", true, Read<16 * kMiB>},
    {"touch", "mmap, one byte of every page in order", true, Touch<0, MADV_NORMAL>},
    {"touch-2", "the same by two threads, half of the file each", true, TouchByTwo},
    {"populate", "mmap with MAP_POPULATE, then touch", true, Touch<MAP_POPULATE, MADV_NORMAL>},
    {"copy", "mmap, tensors of 16 MiB copied in order", true, CopyInOrder},
    {"copy-random", "the same in random order", true, CopyInRandomOrder},
    {"copy-backward", "the same in order, each from its last page to its first", true, CopyTensorsBackward},
    {"pread-4k", "pread of 4 KiB at 2000 random places", true, ReadAtRandom<kPage>},
    {"pread-1m", "pread of each 1 MiB in random order", true, ReadAtRandom<kMiB>},
    {"touch-random", "touch of the first 128 MiB after MADV_RANDOM", true, Touch<0, MADV_RANDOM>},
    {"direct-1m", "read() of 1 MiB after 1 MiB with O_DIRECT", false, ReadDirect<kMiB>},
    {"direct-16m", "read() of 16 MiB after 16 MiB with O_DIRECT", false, ReadDirect<16 * kMiB>},
};

}  // namespace

std::span<const AccessPattern> AccessPatterns() { return kPatterns; }

const AccessPattern* FindAccessPattern(std::string_view name) {
  for (const AccessPattern& pattern : kPatterns) {
    if (pattern.name == name) return &pattern;
  }
  return nullptr;
}

}  // namespace entrofs::bench
