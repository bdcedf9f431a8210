# Options and the one INTERFACE target that carries every compiler flag of the project.

option(ENTROFS_BUILD_TESTS "Build the tests" ON)
option(ENTROFS_BUILD_BENCH "Build entro-bench" ON)
option(ENTROFS_CODEC_ONLY "Build only base and codec, and their tests: what needs few libraries (cross-compiling)" OFF)
option(ENTROFS_WERROR "Treat warnings as errors (CI sets it)" OFF)
option(ENTROFS_ASSERTIONS "Keep assert() in optimized builds" OFF)
option(ENTROFS_FUZZ "Build the fuzz targets for libFuzzer (clang)" OFF)
set(ENTROFS_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# A compiler cache is used when it is there; nothing depends on it.
find_program(ENTROFS_CCACHE ccache)
if(ENTROFS_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ENTROFS_CCACHE})
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(entrofs_flags INTERFACE)
target_include_directories(entrofs_flags INTERFACE ${CMAKE_SOURCE_DIR})
# -ffp-contract=off: quantization gives the same bytes whether or not the CPU has FMA.
target_compile_options(entrofs_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
                                               -ffp-contract=off -fno-strict-aliasing)
target_compile_definitions(entrofs_flags INTERFACE _FILE_OFFSET_BITS=64)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms of g++ 12 about std::string at -O3 (https://gcc.gnu.org/PR105651, PR105329).
  target_compile_options(entrofs_flags INTERFACE -Wno-restrict -Wno-array-bounds)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  # g++ 13 and 14 are wrong at -O3 about what a function reads: they drop a value that a lambda has captured by reference
  # before std::all_of compares with it. FileMappingTest.DroppedBytes... shows it.
  # And they take whatever a function returns by reference for a part of its temporary arguments.
  target_compile_options(entrofs_flags INTERFACE -fno-ipa-modref -Wno-dangling-reference)
endif()
if(ENTROFS_WERROR)
  target_compile_options(entrofs_flags INTERFACE -Werror)
endif()
if(ENTROFS_ASSERTIONS)
  target_compile_options(entrofs_flags INTERFACE -UNDEBUG)
endif()
if(ENTROFS_SANITIZE)
  target_compile_options(entrofs_flags INTERFACE -fsanitize=${ENTROFS_SANITIZE} -fno-omit-frame-pointer
                                                 -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Sanitizers make g++ warn falsely inside the standard library (<regex>).
    target_compile_options(entrofs_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
  target_link_options(entrofs_flags INTERFACE -fsanitize=${ENTROFS_SANITIZE})
endif()
if(ENTROFS_FUZZ)
  target_compile_options(entrofs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
