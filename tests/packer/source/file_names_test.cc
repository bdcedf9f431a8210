#include "packer/source/file_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace entrofs::packer::source {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FileNames, SuffixesMatchInEitherCase) {
  EXPECT_TRUE(HasSuffix("MODEL.GGUF", ".gguf"));
  EXPECT_TRUE(HasSuffix("a/b.SafeTensors", ".safetensors"));
  EXPECT_TRUE(HasSuffix(".gguf", ".gguf"));
  EXPECT_FALSE(HasSuffix("gguf", ".gguf"));
  EXPECT_FALSE(HasSuffix("a.gguf.txt", ".gguf"));
}

TEST(FileNames, LeavingsAreOfOtherProgramsAndNotOfTheModel) {
  for (const char* name : {".git", ".cache", ".DS_Store", "._model.safetensors"}) EXPECT_TRUE(IsLeavings(name)) << name;
  for (const char* name : {".gitattributes", ".hidden", "cache", "_x", "x._y", ""})
    EXPECT_FALSE(IsLeavings(name)) << name;
}

TEST(FileNames, TellsOfPartsThatAreMissing) {
  EXPECT_THAT(MissingParts({"m-00002-of-00003.gguf"}),
              ElementsAre("m-*-of-00003.gguf: 1 of 3 parts is packed; whoever loads the model needs all"));
  EXPECT_THAT(MissingParts({"a/m-00001-of-00002.safetensors", "a/m-00002-of-00002.safetensors"}), IsEmpty());
  EXPECT_THAT(MissingParts({"a/m-00001-of-00002.safetensors", "b/m-00002-of-00002.safetensors"}).size(), 2u);
  EXPECT_THAT(MissingParts({"-of-", "x-of-00002.gguf", "m-00001-of-0002.gguf", "m-00001-of-00002", "m-1-of-2.gguf",
                            "m-0000x-of-00002.gguf", "m00001-of-00002.gguf", ""}),
              IsEmpty());
}

TEST(FileNames, SnapshotsAreNamedAfterTheirRepository) {
  EXPECT_EQ(RepositoryOfSnapshot("/a/models--meta--llama/snapshots/1234"), "llama");
  EXPECT_EQ(RepositoryOfSnapshot("models--gpt2/snapshots/1234"), "gpt2");
  EXPECT_EQ(RepositoryOfSnapshot("/a/models--meta--llama/snapshots"), "");
  EXPECT_EQ(RepositoryOfSnapshot("/a/llama/snapshots/1234"), "");
  EXPECT_EQ(RepositoryOfSnapshot(""), "");
}

}  // namespace
}  // namespace entrofs::packer::source
