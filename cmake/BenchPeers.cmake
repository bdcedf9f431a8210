# Finds the coders that entro-bench may be compared with.
#
# ENTROFS_HUFF0_LIBRARY: libzstd.a, when its Huffman stage can be linked and called as bench/peer_huff0.cc declares it
#   (those functions are not part of zstd's interface, so a round trip is run to be sure).
# ENTROFS_HTSCODECS_LIBRARY, ENTROFS_HTSCODECS_INCLUDE: rANS 32x16 of htscodecs (Debian: libhtscodecs-dev).

find_library(ENTROFS_ZSTD_ARCHIVE libzstd.a HINTS ${zstd_LIBRARY_DIRS})
if(ENTROFS_ZSTD_ARCHIVE AND NOT CMAKE_CROSSCOMPILING AND NOT DEFINED ENTROFS_HUFF0_WORKS)
  try_run(ENTROFS_HUFF0_EXIT ENTROFS_HUFF0_BUILDS
    ${CMAKE_BINARY_DIR}/huff0_probe ${CMAKE_SOURCE_DIR}/cmake/huff0_probe.cc
    CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${CMAKE_SOURCE_DIR}
    LINK_LIBRARIES ${ENTROFS_ZSTD_ARCHIVE} Threads::Threads)
  if(ENTROFS_HUFF0_BUILDS AND ENTROFS_HUFF0_EXIT EQUAL 0)
    set(ENTROFS_HUFF0_WORKS ON CACHE INTERNAL "zstd's Huffman stage can be called")
  else()
    set(ENTROFS_HUFF0_WORKS OFF CACHE INTERNAL "zstd's Huffman stage can be called")
  endif()
endif()
if(ENTROFS_HUFF0_WORKS)
  set(ENTROFS_HUFF0_LIBRARY ${ENTROFS_ZSTD_ARCHIVE})
endif()

find_path(ENTROFS_HTSCODECS_INCLUDE htscodecs/rANS_static4x16.h)
find_library(ENTROFS_HTSCODECS_LIBRARY htscodecs)
if(NOT ENTROFS_HTSCODECS_INCLUDE)
  unset(ENTROFS_HTSCODECS_LIBRARY)
  set(ENTROFS_HTSCODECS_LIBRARY "")
endif()

message(STATUS "entro-bench peers: zstd's Huffman stage: ${ENTROFS_HUFF0_WORKS}, htscodecs: ${ENTROFS_HTSCODECS_LIBRARY}")
