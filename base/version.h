#pragma once

namespace entrofs {

// Of this build, "0.1.0": the project's version in the top CMakeLists.txt. For all programs.
const char* Version();

}  // namespace entrofs
