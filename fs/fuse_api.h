#pragma once

// The one place that says which libfuse interface is used: the low-level one as of 3.12, which Debian 12 has.
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
