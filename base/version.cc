#include "base/version.h"

namespace entrofs {

const char* Version() { return ENTROFS_VERSION; }

}  // namespace entrofs
