#include "packer/source/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace entrofs::packer::source {
namespace {

TEST(FindInvalidUtf8, AcceptsEveryLengthOfSequence) {
  for (const char* text : {"", "plain ascii, longer than a word", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                           "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf",
                           "12345678\xc2\x80"
                           "12345678"}) {
    EXPECT_FALSE(FindInvalidUtf8(text).has_value()) << text;
  }
}

TEST(FindInvalidUtf8, SaysWhereTheFirstBadByteIs) {
  for (std::string bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xe2\x28\xa1"}) {
    EXPECT_EQ(FindInvalidUtf8(bad), 0u);
    EXPECT_EQ(FindInvalidUtf8("0123456789" + bad), 10u);
    EXPECT_EQ(FindInvalidUtf8("\xc3\xa9" + bad + "tail"), 2u);
  }
}

}  // namespace
}  // namespace entrofs::packer::source
