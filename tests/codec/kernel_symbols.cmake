# Kernel files are compiled for CPUs that the program may not run on. An inline function of theirs that the linker chose
# as the program's only copy would crash there, so they must export nothing weak.
# Usage: cmake -DNM=<nm> -DOBJECTS=<list of object files> -P kernel_symbols.cmake
foreach(object ${OBJECTS})
  if(NOT object MATCHES "kernels/([a-z0-9_]+)[.]cc" OR CMAKE_MATCH_1 STREQUAL "dispatch")
    continue()
  endif()
  list(APPEND checked ${CMAKE_MATCH_1})
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(symbols MATCHES "[^\n]* [WVu] [^\n]*")
    message(FATAL_ERROR "${object} exports a weak symbol: ${CMAKE_MATCH_0}")
  endif()
endforeach()
if(NOT checked)
  message(FATAL_ERROR "no kernel objects among: ${OBJECTS}")
endif()
message(STATUS "checked: ${checked}")
