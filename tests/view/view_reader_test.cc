#include "view/view_reader.h"

#include <gtest/gtest.h>
