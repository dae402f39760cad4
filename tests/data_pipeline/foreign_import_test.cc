#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_pipeline/foreign/import.h"
#include "data_pipeline/verify.h"
#include "tests/data_pipeline/test_dataset.h"
#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

TEST(ForeignImport, AnOrdinaryTokenIsNeverASeparator) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kGpt2);
  const auto separators = [&](int32_t own) { return SeparatorsFor({.separator = own}, tokenizer, 0); };
  EXPECT_EQ(separators(-1), (std::vector<int32_t>{0}));
  EXPECT_EQ(separators(65), (std::vector<int32_t>{0}));  // a letter
  EXPECT_EQ(separators(static_cast<int32_t>(tokenizer.size())), (std::vector<int32_t>{0}));
  const int32_t special = tokenizer.end_of_text();
  ASSERT_GT(special, 0);
  EXPECT_EQ(separators(special), (std::vector<int32_t>{0, special}));
}

TEST(ForeignImport, MakesADatasetOrNamesTheIdOutsideTheTokenizer) {
  const TestDirectory dir;
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kGpt2);
  TextEncoder encoder = ByteEncoder(dir);
  encoder.vocabulary = tokenizer.padded_size();
  const int32_t end = encoder.end_of_text = tokenizer.size() > 256 ? 256 : 0;
  const std::string input = dir.Write("a.bin", std::string("\5\0\6\0\7\0\x50\xC4\x8\0\x50\xC4", 12));
  BuildOptions options = {.inputs = {input}, .output = dir / "out", .validation_fraction = 0};
  // nanoGPT's separator, 50256, is outside of this tokenizer: an error that leaves nothing.
  const auto refused = ImportDataset(options, ForeignFormat::kNanoGpt, tokenizer, encoder);
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("token 3 is id 50256"));
  EXPECT_FALSE(DirectoryExists(options.output));
  dir.Write("a.bin", std::string("\5\0\6\0\7\0\0\1\x8\0\0\1", 12));
  const auto made = ImportDataset(options, ForeignFormat::kNanoGpt, tokenizer, encoder);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_TRUE(VerifyData(options.output).ok()) << VerifyData(options.output).status();
  const auto dataset = Dataset::Open(options.output);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(TokensOf(*dataset, Split::kTraining), (std::vector<int32_t>{5, 6, 7, end, 8, end}));
}

}  // namespace
}  // namespace ingot
