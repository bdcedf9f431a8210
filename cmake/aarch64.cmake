# Cross-compiles for 64-bit ARM on Debian (g++-aarch64-linux-gnu) with the arm64 packages of the libraries, and runs what
# was built under qemu-user. `scripts/install-deps --cross` installs all of it.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)

# The libraries of g++ have no arm64 package here, the C library has one (libzstd1:arm64 brings it). The cross compiler's
# own C library is not used for running: threads hang in it under qemu-user 7.2.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libstdc++ -static-libgcc")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
