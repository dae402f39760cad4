// docs/shard_format.md is right: its example is what the code writes, its hash what the code computes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "data_pipeline/hash.h"
#include "data_pipeline/permutation.h"
#include "data_pipeline/shard.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

// The bytes of the page's ```hex block: an offset, then 16 bytes a line.
std::string ExampleOfThePage() {
  std::istringstream page(ReadAll(std::string(INGOT_SOURCE_DIR) + "/docs/shard_format.md"));
  std::string line, bytes;
  while (std::getline(page, line) && line != "```hex") continue;
  while (std::getline(page, line) && line != "```") {
    std::istringstream words(line);
    std::string word;
    words >> word;
    EXPECT_EQ(std::stoul(word, nullptr, 16), bytes.size());
    for (int i = 0; i < 16 && words >> word; ++i) bytes += static_cast<char>(std::stoul(word, nullptr, 16));
  }
  return bytes;
}

TEST(ShardFormat, TheExampleIsWhatIsWritten) {
  const TestDirectory dir;
  auto writer = ShardWriter::Create(dir / "example.shard", 300, 256);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->Append(std::vector<int32_t>{72, 105, 256}).ok());
  writer->EndDocument();
  ASSERT_TRUE(writer->Append(std::vector<int32_t>{33, 256}).ok());
  writer->EndDocument();
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(ReadAll(dir / "example.shard"), ExampleOfThePage());
}

// Splits and orders of old datasets and runs hang on these values; they were computed from the page's text in Python.
TEST(ShardFormat, HashesNeverChange) {
  EXPECT_EQ(HashBytes(""), 0u);
  EXPECT_EQ(HashBytes("a"), 0xF0EEA8C8A0607D15u);
  EXPECT_EQ(HashBytes("Once upon a time"), 0x39AD8362F9F3B4DFu);
  EXPECT_EQ(HashBytes("\xFF\xFE and seven more"), 0x481D5669B37B31FAu);
}

TEST(ShardFormat, OrdersNeverChange) {
  const auto first = [](uint64_t seed, uint64_t epoch, uint64_t n) {
    const Permutation permutation(seed, epoch, n);
    std::vector<uint64_t> images;
    for (uint64_t i = 0; i < 5; ++i) images.push_back(permutation(i));
    return images;
  };
  EXPECT_THAT(first(1, 0, 10), ::testing::ElementsAre(6u, 4u, 8u, 2u, 1u));
  EXPECT_THAT(first(42, 3, 65536), ::testing::ElementsAre(48036u, 37670u, 61898u, 8528u, 52331u));
  EXPECT_THAT(first(1, 0, 100000), ::testing::ElementsAre(85305u, 54363u, 58232u, 72728u, 35221u));
  EXPECT_THAT(first(42, 3, 5000000000000),
              ::testing::ElementsAre(3984628312046u, 4566658304563u, 3100167461557u, 595873244294u, 2075114726174u));
}

}  // namespace
}  // namespace ingot
