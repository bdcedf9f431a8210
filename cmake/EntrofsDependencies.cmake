# Every dependency is a Debian package, found here and nowhere else; configuring downloads nothing.
# Names on the right are what `scripts/install-deps` installs.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)          # libzstd-dev
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)      # libxxhash-dev
# Debian builds the library for SSE2 and, on x86, with XXH3 for wider vectors beside it, which another header asks for.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::xxhash)
check_cxx_source_compiles("#include <xxh_x86dispatch.h>
  int main() { return XXH3_64bits_dispatch(nullptr, 0) == 0; }" ENTROFS_XXHASH_DISPATCH)
unset(CMAKE_REQUIRED_LIBRARIES)
if(NOT ENTROFS_CODEC_ONLY)
  pkg_check_modules(libcrypto REQUIRED IMPORTED_TARGET libcrypto>=3.0)  # libssl-dev
  pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET fuse3>=3.10)   # libfuse3-dev
  # 3.14.0 -> 314, for fs/fuse_api.h.
  string(REGEX REPLACE "^([0-9]+)\\.([0-9]+).*" "\\1\\2" ENTROFS_FUSE_VERSION "${fuse3_VERSION}")
  pkg_check_modules(systemd REQUIRED IMPORTED_TARGET libsystemd)  # libsystemd-dev
  find_package(spdlog REQUIRED)                                   # libspdlog-dev
  find_package(nlohmann_json REQUIRED)                            # nlohmann-json3-dev
  find_package(CLI11 REQUIRED)                                    # libcli11-dev
endif()

if(ENTROFS_BUILD_TESTS)
  find_package(GTest REQUIRED)                                    # libgtest-dev, libgmock-dev
endif()
