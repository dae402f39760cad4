#include "core/training/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using testing::HasSubstr;

Manifest Example() {
  return {.step = 100,
          .marked = true,
          .files = {{"config.json", {2, 0x12345678}}, {"training_state/state.json", {uint64_t{1} << 40, 0xF}}}};
}

TEST(Manifest, ComesBack) {
  const auto read = ParseManifest(ManifestText(Example()), "m");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->step, 100);
  EXPECT_TRUE(read->marked);
  ASSERT_EQ(read->files.size(), 2u);
  EXPECT_EQ(read->files.at("training_state/state.json").bytes, uint64_t{1} << 40);
  EXPECT_EQ(read->files.at("config.json").crc32c, 0x12345678u);
}

// The worked example of docs/checkpoint_format.md.
TEST(Manifest, IsTheWorkedExample) {
  EXPECT_EQ(ManifestText({.step = 7, .marked = false, .files = {{"config.json", {3, 0x364B3FB7}}}}),
            "{\n  \"format\": \"ingot-checkpoint\",\n  \"version\": 1,\n  \"step\": 7,\n  \"marked\": false,\n"
            "  \"files\": {\n    \"config.json\": {\n      \"bytes\": 3,\n      \"crc32c\": \"364b3fb7\"\n    }\n  },\n"
            "  \"crc32c\": \"ba990773\"\n}\n");
}

TEST(Manifest, EveryFlippedBitAndEveryCutIsFound) {
  const std::string text = ManifestText(Example());
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(ParseManifest(text.substr(0, i), "m").ok()) << i;
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_FALSE(ParseManifest(flipped, "m").ok()) << i << " " << bit;
    }
  }
}

TEST(Manifest, NamesOnlyFilesInside) {
  for (const char* path : {"../x", "a/../../x", "/etc/passwd", "", "a//b", "."}) {
    const auto read = ParseManifest(ManifestText({.step = 1, .marked = false, .files = {{path, {1, 1}}}}), "m");
    EXPECT_THAT(std::string(read.status().message()), HasSubstr("not a path inside")) << path;
  }
}

TEST(Manifest, FindsChangedFiles) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory / "f", "abc").ok());
  const Manifest manifest{.step = 1, .marked = false, .files = {{"f", *RecordOf(directory / "f")}}};
  EXPECT_TRUE(CheckContents(manifest, directory.path()).ok());
  ASSERT_TRUE(WriteFileAtomically(directory / "f", "abd").ok());
  EXPECT_TRUE(CheckSizes(manifest, directory.path()).ok());
  EXPECT_THAT(std::string(CheckContents(manifest, directory.path()).message()), HasSubstr("expected CRC32C 364b3fb7"));
  ASSERT_TRUE(WriteFileAtomically(directory / "f", "ab").ok());
  EXPECT_THAT(std::string(CheckSizes(manifest, directory.path()).message()), HasSubstr("expected 3 bytes"));
  ASSERT_TRUE(RemoveRecursively(directory / "f").ok());
  EXPECT_FALSE(CheckSizes(manifest, directory.path()).ok());
}

}  // namespace
}  // namespace ingot
