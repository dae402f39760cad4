#include "data_pipeline/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <utility>

#include "tests/data_pipeline/test_dataset.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/trainer.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

std::map<std::string, std::string> FilesOf(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) files[entry.path().lexically_relative(directory).string()] = ReadAll(entry.path());
  }
  return files;
}

std::string BuildError(const BuildOptions& options, const TextEncoder& encoder) {
  return std::string(BuildDataset(options, encoder).status().message());
}

TEST(Builder, KeepsEveryDocumentAndCounts) {
  const TestDirectory dir;
  const auto documents = SomeDocuments(500);
  const std::string input = dir.Write("in.jsonl", AsJsonl(documents));
  const Dataset dataset = MustBuild({.inputs = {input}, .output = dir / "out"}, ByteEncoder(dir));
  const auto training = TextsOf(dataset, Split::kTraining), validation = TextsOf(dataset, Split::kValidation);
  std::vector<std::string> all = training;
  all.insert(all.end(), validation.begin(), validation.end());
  EXPECT_THAT(all, UnorderedElementsAreArray(documents));
  EXPECT_GT(validation.size(), 8u);
  EXPECT_LT(validation.size(), 60u);
  int64_t bytes = 0;
  for (const std::string& document : training) bytes += static_cast<int64_t>(document.size());
  EXPECT_EQ(dataset.text_bytes(Split::kTraining), bytes);
  EXPECT_EQ(dataset.documents(Split::kTraining), static_cast<int64_t>(training.size()));
  EXPECT_EQ(dataset.tokens(Split::kTraining), bytes + static_cast<int64_t>(training.size()));
  EXPECT_FALSE(dataset.state().manifest.validation_is_tail);
  EXPECT_EQ(dataset.state().manifest.sources[0].documents, 500);
  EXPECT_EQ(ReadAll(dataset.tokenizer_directory() + "/tokenizer.json"), ReadAll(dir / "bytes/tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(dataset.tokenizer_directory() + "/model.safetensors"));
}

TEST(Builder, BytesDoNotDependOnThreadsOrBatches) {
  const TestDirectory dir;
  const std::string input = dir.Write("in.jsonl", AsJsonl(SomeDocuments(2000)));
  std::string book;
  for (const std::string& document : SomeDocuments(800)) book += document + "\n";
  const std::string long_document = dir.Write("in.txt", book);
  std::map<std::string, std::string> first;
  for (const auto& [threads, batch_bytes] : {std::pair{1, 1 << 20}, {2, 300}, {7, 1000}, {3, 1}}) {
    const std::string output = dir / ("out" + std::to_string(threads));
    MustBuild({.inputs = {input, long_document},
               .output = output,
               .shard_tokens = 10000,
               .batch_bytes = static_cast<size_t>(batch_bytes),
               .threads = threads},
              ByteEncoder(dir));
    const auto files = FilesOf(output);
    EXPECT_GT(files.size(), 8u);
    if (first.empty()) first = files;
    EXPECT_EQ(files, first) << threads;
  }
}

// With a real tokenizer the cuts of a long document must not change its ids, whatever lies around them.
TEST(Builder, LongDocumentsHaveTheIdsOfTheWhole) {
  const TestDirectory dir;
  std::string text;
  for (const std::string& document : SomeDocuments(400)) {
    text += document + (document.size() % 3 == 0 ? "'s \xE4\xB8\xAD\xE6\x96\x87, \n\n  don't!\r\n" : " x1\n");
  }
  bool given = false;
  const auto next = [&](std::string& document) -> absl::StatusOr<bool> {
    document = text;
    return !std::exchange(given, true);
  };
  TrainerOptions trainer;
  trainer.vocabulary_size = 600;
  const auto model = TrainTokenizer(next, trainer);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(SaveTokenizer(*model, dir / "tokenizer").ok());
  const auto encoder = LoadTextEncoder(dir / "tokenizer");
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  std::vector<int32_t> whole;
  encoder->make()(text, whole);
  whole.push_back(encoder->end_of_text);
  const std::string input = dir.Write("a.txt", text);
  for (const size_t batch_bytes : {size_t{1}, size_t{7}, size_t{500}, text.size()}) {
    const std::string output = dir / ("out" + std::to_string(batch_bytes));
    BuildOptions options = {.inputs = {input}, .output = output, .validation_fraction = 0, .batch_bytes = batch_bytes};
    EXPECT_EQ(TokensOf(MustBuild(options, *encoder), Split::kTraining), whole) << batch_bytes;
  }
}

TEST(Builder, EqualDocumentsFallIntoTheSameSplit) {
  const TestDirectory dir;
  const auto documents = SomeDocuments(300);
  const std::string a = dir.Write("a.jsonl", AsJsonl(documents)), b = dir.Write("b.jsonl", AsJsonl(documents));
  const Dataset dataset = MustBuild({.inputs = {a, b}, .output = dir / "out"}, ByteEncoder(dir));
  auto validation = TextsOf(dataset, Split::kValidation);
  std::sort(validation.begin(), validation.end());
  ASSERT_EQ(validation.size() % 2, 0u);
  for (size_t i = 0; i < validation.size(); i += 2) EXPECT_EQ(validation[i], validation[i + 1]);
}

TEST(Builder, ASingleDocumentIsCutNearItsEnd) {
  const TestDirectory dir;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(i) + "\n";
  const std::string input = dir.Write("book.txt", text);
  const Dataset dataset = MustBuild({.inputs = {input}, .output = dir / "out"}, ByteEncoder(dir));
  const auto training = TextsOf(dataset, Split::kTraining), validation = TextsOf(dataset, Split::kValidation);
  ASSERT_EQ(training.size(), 1u);
  ASSERT_EQ(validation.size(), 1u);
  EXPECT_EQ(training[0] + validation[0], text);
  EXPECT_THAT(training[0], ::testing::EndsWith("\n"));
  EXPECT_NEAR(static_cast<double>(validation[0].size()), 0.05 * static_cast<double>(text.size()), 10);
  EXPECT_TRUE(dataset.state().manifest.validation_is_tail);
  EXPECT_EQ(dataset.state().manifest.counts.documents, 1);
}

TEST(Builder, TailOfTinyTexts) {
  const TestDirectory dir;
  for (const std::string text : {"ab", "\xE4\xB8\xAD\xE6\x96\x87", "a\n"}) {
    const std::string output = dir / "out";
    const Dataset dataset = MustBuild({.inputs = {dir.Write("a.txt", text)}, .output = output}, ByteEncoder(dir));
    const auto training = TextsOf(dataset, Split::kTraining), validation = TextsOf(dataset, Split::kValidation);
    ASSERT_EQ(training.size() + validation.size(), 2u) << text;
    EXPECT_EQ(training[0] + validation[0], text);
    std::filesystem::remove_all(output);
  }
}

TEST(Builder, NoValidationWhenNotAskedFor) {
  const TestDirectory dir;
  const Dataset dataset = MustBuild(
      {.inputs = {dir.Write("a.txt", "some text")}, .output = dir / "out", .validation_fraction = 0}, ByteEncoder(dir));
  EXPECT_THAT(TextsOf(dataset, Split::kTraining), ElementsAre("some text"));
  EXPECT_EQ(dataset.tokens(Split::kValidation), 0);
}

TEST(Builder, SummaryCountsWhatWasLeftOut) {
  const TestDirectory dir;
  const std::string input = dir.Write("a.jsonl", "{\"text\": \"one\"}\nbad\n{\"text\": \"\"}\n{\"text\": \"two\"}\n");
  BuildOptions options = {.inputs = {input}, .output = dir / "out", .validation_fraction = 0};
  options.documents.skip_bad_lines = true;
  const auto manifest = BuildDataset(options, ByteEncoder(dir));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->counts.bad_lines, 1);
  EXPECT_EQ(manifest->counts.empty_documents, 1);
  EXPECT_EQ(manifest->counts.documents, 2);
}

TEST(Builder, FailuresLeaveNothingBehind) {
  const TestDirectory dir;
  const TextEncoder encoder = ByteEncoder(dir);
  const std::string good = dir.Write("good.jsonl", AsJsonl(SomeDocuments(100)));
  const std::string bad = dir.Write("zbad.jsonl", AsJsonl(SomeDocuments(100)) + "{\"text\": 1}\n");
  const auto before = FilesOf(dir.path());
  const std::string output = dir / "sub/out";
  EXPECT_THAT(BuildError({.inputs = {good, bad}, .output = output, .batch_bytes = 100}, encoder),
              HasSubstr("zbad.jsonl:101:"));
  EXPECT_THAT(BuildError({.inputs = {dir / "none"}, .output = output}, encoder), HasSubstr("no such file"));
  EXPECT_THAT(BuildError({.inputs = {good}, .output = output, .validation_fraction = 0.7}, encoder),
              HasSubstr("expected 0 (none) to 0.5"));
  TextEncoder without_file = encoder;
  without_file.directory = dir / "elsewhere";
  EXPECT_THAT(BuildError({.inputs = {good}, .output = output}, without_file), HasSubstr("elsewhere/tokenizer.json"));
  EXPECT_EQ(FilesOf(dir.path()), before);
  EXPECT_FALSE(std::filesystem::exists(output));
}

TEST(Builder, AnExistingOutputIsRefused) {
  const TestDirectory dir;
  const std::string good = dir.Write("good.jsonl", AsJsonl(SomeDocuments(10)));
  for (const std::string& taken : {dir.path(), good}) {
    EXPECT_THAT(BuildError({.inputs = {good}, .output = taken}, ByteEncoder(dir)), HasSubstr("exists already"));
  }
}

// Stands for a full disk: writing fails half-way with an errno.
TEST(Builder, AFullDiskIsAClearError) {
  const TestDirectory dir;
  const TextEncoder encoder = ByteEncoder(dir);
  const std::string good = dir.Write("good.jsonl", AsJsonl(SomeDocuments(40000)));
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string error = BuildError({.inputs = {good}, .output = dir / "out"}, encoder);
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_THAT(error, HasSubstr("training-00000.shard: write failed"));
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::AnyOf("good.jsonl", "bytes"));
  }
}

}  // namespace
}  // namespace ingot
