#include "base/units.h"

#include <gtest/gtest.h>

namespace entrofs {
namespace {

TEST(FormatBytes, KeepsThreeDigits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1500), "1.50 KB");
  EXPECT_EQ(FormatBytes(56'800'000), "56.8 MB");
  EXPECT_EQ(FormatBytes(999'999), "1.00 MB");
  EXPECT_EQ(FormatBytes(2'100'000'000), "2.10 GB");
}

TEST(FormatRate, IsPerSecondAndDashWithoutTime) {
  EXPECT_EQ(FormatRate(6'700'000'000, 1.0), "6.70 GB/s");
  EXPECT_EQ(FormatRate(1, 0), "-");
}

TEST(ParseBytes, KnowsBinaryAndDecimalUnits) {
  EXPECT_EQ(*ParseBytes("512"), 512u);
  EXPECT_EQ(*ParseBytes("64K"), 65536u);
  EXPECT_EQ(*ParseBytes("64kib"), 65536u);
  EXPECT_EQ(*ParseBytes("1.5M"), 1572864u);
  EXPECT_EQ(*ParseBytes("2GB"), 2'000'000'000u);
  EXPECT_EQ(*ParseBytes("2.1 GB"), 2'100'000'000u);
}

TEST(ParseBytes, RefusesWhatIsNotASize) {
  for (const char* text : {"", "-1", "x", "1X", "1 KQ", "1e30T", "99999999999T", "nan", ".5", "0x10"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

}  // namespace
}  // namespace entrofs
