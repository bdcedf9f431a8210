// Chooses the kernel set: the best this CPU can run, unless ENTROFS_KERNELS or SelectKernels says otherwise.

#include <atomic>
#include <cstdlib>
#include <string>

#include "codec/codec.h"
#include "codec/kernels/kernels.h"

namespace entrofs::codec {
namespace {

#ifdef ENTROFS_X86_KERNELS
bool CpuHasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul");
}
bool CpuHasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul");
}
#endif

// `set` with the functions it lacks taken from the scalar set.
Kernels Complete(Kernels set) {
  auto take = [](auto& function, auto scalar) {
    if (function == nullptr) function = scalar;
  };
  take(set.split_planes, kScalarKernels.split_planes);
  take(set.merge_planes, kScalarKernels.merge_planes);
  take(set.merge_trellis, kScalarKernels.merge_trellis);
  take(set.split_trellis, kScalarKernels.split_trellis);
  take(set.decode_tans, kScalarKernels.decode_tans);
  take(set.decode_prefix, kScalarKernels.decode_prefix);
  take(set.decode_escapes, kScalarKernels.decode_escapes);
  take(set.finish_rounds, kScalarKernels.finish_rounds);
  take(set.classify, kScalarKernels.classify);
  take(set.encode_tans, kScalarKernels.encode_tans);
  take(set.interleave, kScalarKernels.interleave);
  return set;
}

// Best first.
const std::vector<Kernels>& SupportedSets() {
  static const std::vector<Kernels> sets = [] {
    std::vector<Kernels> supported;
#ifdef ENTROFS_X86_KERNELS
    if (CpuHasAvx512()) supported.push_back(Complete(kAvx512Kernels));
    if (CpuHasAvx2()) supported.push_back(Complete(kAvx2Kernels));
#endif
#ifdef ENTROFS_NEON_KERNELS
    supported.push_back(Complete(kNeonKernels));
#endif
    supported.push_back(kScalarKernels);
    return supported;
  }();
  return sets;
}

const Kernels* FindSet(std::string_view name) {
  for (const Kernels& set : SupportedSets()) {
    if (name == set.name) return &set;
  }
  return nullptr;
}

constexpr const char* kVariable = "ENTROFS_KERNELS";

// "`what`: there are no such kernels for this CPU, which runs avx2, scalar"
Error NoSuchSet(std::string what) {
  what += ": there are no such kernels for this CPU, which runs ";
  for (const Kernels& set : SupportedSets()) {
    if (&set != &SupportedSets().front()) what += ", ";
    what += set.name;
  }
  return Error{ErrorCode::kInvalidArgument, std::move(what)};
}

const Kernels* InitialSet() {
  const char* wanted = std::getenv(kVariable);
  const Kernels* set = wanted == nullptr ? nullptr : FindSet(wanted);
  return set != nullptr ? set : &SupportedSets().front();
}

std::atomic<const Kernels*>& Current() {
  static std::atomic<const Kernels*> current = InitialSet();
  return current;
}

}  // namespace

const Kernels& Active() { return *Current().load(std::memory_order_relaxed); }

std::vector<std::string_view> SupportedKernels() {
  std::vector<std::string_view> names;
  for (const Kernels& set : SupportedSets()) names.emplace_back(set.name);
  return names;
}

std::string_view ActiveKernels() { return Active().name; }

Status CheckKernelsVariable() {
  const char* wanted = std::getenv(kVariable);
  if (wanted == nullptr || FindSet(wanted) != nullptr) return OkStatus();
  return NoSuchSet(std::string(kVariable) + "=" + wanted);
}

Status SelectKernels(std::string_view name) {
  const Kernels* set = FindSet(name);
  if (set == nullptr) return NoSuchSet("kernels '" + std::string(name) + "'");
  Current().store(set, std::memory_order_relaxed);
  return OkStatus();
}

}  // namespace entrofs::codec
