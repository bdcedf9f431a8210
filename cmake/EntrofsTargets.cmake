# entrofs_add_library(<folder> SOURCES ... DEPENDS <folders or packages> ...)
#
# One static library per folder, named entrofs_<folder>. DEPENDS names other folders of the tree (the layering) and
# LINK names packages.
function(entrofs_add_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(entrofs_${name} STATIC ${arg_SOURCES})
  target_link_libraries(entrofs_${name} PUBLIC entrofs_flags)
  foreach(folder ${arg_DEPENDS})
    target_link_libraries(entrofs_${name} PUBLIC entrofs_${folder})
  endforeach()
  target_link_libraries(entrofs_${name} PUBLIC ${arg_LINK})
endfunction()

# entrofs_add_test(<name> SOURCES ... DEPENDS <folders> ... [LABELS ...] [SERIAL])
#
# One GoogleTest program, each of its cases a ctest test. SERIAL keeps its cases from running beside other tests
# (those that mount or measure).
function(entrofs_add_test name)
  cmake_parse_arguments(arg "SERIAL" "TIMEOUT" "SOURCES;DEPENDS;LINK;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE entrofs_flags GTest::gmock_main GTest::gtest ${arg_LINK})
  foreach(folder ${arg_DEPENDS})
    target_link_libraries(${name} PRIVATE entrofs_${folder})
  endforeach()
  target_compile_definitions(${name} PRIVATE ENTROFS_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             ENTROFS_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  set(properties "")
  if(arg_LABELS)
    list(APPEND properties LABELS "${arg_LABELS}")
  endif()
  if(arg_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  list(APPEND properties TIMEOUT ${arg_TIMEOUT})
  set(discovery NO_PRETTY_VALUES)
  if(CMAKE_CROSSCOMPILING)
    # Under an emulator, only when ctest asks for it.
    list(APPEND discovery DISCOVERY_MODE PRE_TEST)
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 ${discovery} PROPERTIES ${properties})
endfunction()
