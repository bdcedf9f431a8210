#include "fs/engine.h"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

namespace entrofs::fs {
namespace {

Status ServeBy(Engine& engine, const std::string& name, const ServedArchive& archive, const Announce& announce) {
  Status served = engine(archive, announce);
  if (!served) return std::move(served.error()).WithContext("engine " + name);
  return served;
}

Status ServeByErofsOrFuse(const ServedArchive& archive, const Announce& announce) {
  bool announced = false;
  Status served = ServeErofs(archive, [&] {
    announced = true;
    announce();
  });
  if (served.ok() || announced) return served;
  return ServeFuse(archive, [&] {
    announce();
    spdlog::info("engine fuse, because erofs does not work here: {}", served.error().message);
  });
}

}  // namespace

Status ServeArchive(const ServedArchive& archive, const Announce& announce) {
  switch (archive.options.engine) {
    case EngineKind::kErofs:
      return ServeBy(ServeErofs, "erofs", archive, announce);
    case EngineKind::kMemory:
      return ServeBy(ServeMemory, "memory", archive, announce);
    case EngineKind::kAuto:
      return ServeByErofsOrFuse(archive, announce);
    case EngineKind::kFuse:
      break;
  }
  return ServeFuse(archive, announce);
}

}  // namespace entrofs::fs
