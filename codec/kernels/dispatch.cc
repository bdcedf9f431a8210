// Chooses the kernel set: the best this CPU can run, unless ENTROFS_KERNELS or SelectKernels says otherwise.

#include <atomic>
#include <cstdlib>
#include <string>

#include "codec/codec.h"
#include "codec/kernels/kernels.h"

namespace entrofs::codec {
namespace {

// Best first.
std::vector<const Kernels*> SupportedSets() {
  std::vector<const Kernels*> sets;
  sets.push_back(&kScalarKernels);
  return sets;
}

const Kernels* FindSet(std::string_view name) {
  for (const Kernels* set : SupportedSets()) {
    if (name == set->name) return set;
  }
  return nullptr;
}

const Kernels* InitialSet() {
  const char* wanted = std::getenv("ENTROFS_KERNELS");
  const Kernels* set = wanted == nullptr ? nullptr : FindSet(wanted);
  return set != nullptr ? set : SupportedSets().front();
}

std::atomic<const Kernels*>& Current() {
  static std::atomic<const Kernels*> current = InitialSet();
  return current;
}

}  // namespace

const Kernels& Active() { return *Current().load(std::memory_order_relaxed); }

std::vector<std::string_view> SupportedKernels() {
  std::vector<std::string_view> names;
  for (const Kernels* set : SupportedSets()) names.emplace_back(set->name);
  return names;
}

std::string_view ActiveKernels() { return Active().name; }

Status SelectKernels(std::string_view name) {
  const Kernels* set = FindSet(name);
  if (set == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "kernels '" + std::string(name) + "': unknown or not for this CPU"};
  }
  Current().store(set, std::memory_order_relaxed);
  return OkStatus();
}

}  // namespace entrofs::codec
