// Raw documents that become tokens while they are read: the same stream as from shards that were built before, whatever
// stops on the way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_format.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/streaming/growing_stream.h"
#include "data_pipeline/verify.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

constexpr double kValidation = 0.1;

class StreamingTest : public ::testing::Test {
 protected:
  // Documents [begin, end) as one file.
  std::string WriteDocuments(const std::string& name, size_t begin, size_t end) const {
    const std::vector<std::string> all = SomeDocuments(static_cast<int>(end));
    return dir_.Write(name, AsJsonl({all.begin() + static_cast<std::ptrdiff_t>(begin), all.end()}));
  }
  void SetUp() override {
    WriteDocuments("docs/a.jsonl", 0, 150);
    WriteDocuments("docs/b.jsonl", 150, 200);
    WriteDocuments("docs/c.jsonl", 200, 420);
    dir_.Write("docs/notes.md", "passed over");
  }
  StreamOptions Options(const std::string& cache = "cache") const {
    StreamOptions options;
    options.inputs = {dir_ / "docs"};
    options.validation_fraction = kValidation;
    options.cache = dir_ / cache;
    options.shard_tokens = 500;
    options.read_ahead = 300;
    options.batch_bytes = 200;
    return options;
  }
  std::unique_ptr<StreamWriter> Start(const StreamOptions& options) const {
    auto writer = StreamWriter::Start(options, ByteEncoder(dir_));
    EXPECT_TRUE(writer.ok()) << writer.status();
    return writer.ok() ? *std::move(writer) : nullptr;
  }
  absl::Status StartError(const StreamOptions& options) const {
    return StreamWriter::Start(options, ByteEncoder(dir_)).status();
  }
  Dataset Open(StreamWriter* writer, int64_t validation_tokens = 0, const std::string& cache = "cache") const {
    auto dataset = OpenGrowing({.cache = dir_ / cache, .writer = writer}, validation_tokens);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return *dataset;
  }
  // Tokenizes until the cache has so many tokens, or everything.
  void FillTo(int64_t tokens, const std::string& cache = "cache") const {
    const auto writer = Start(Options(cache));
    const Dataset dataset = Open(writer.get(), 0, cache);
    const absl::Status status = dataset.state().growing->Require(tokens);
    EXPECT_TRUE(status.ok()) << status;
  }
  Dataset Prebuilt(const std::vector<std::string>& inputs) const {
    const std::string output = dir_ / "built";
    std::filesystem::remove_all(output);
    BuildOptions options = {.inputs = inputs, .output = output};
    options.validation_fraction = kValidation;
    return MustBuild(options, ByteEncoder(dir_));
  }
  Dataset Prebuilt() const { return Prebuilt({dir_ / "docs"}); }
  Dataset Cached(const std::string& cache = "cache") const {
    auto dataset = Dataset::Open(dir_ / cache);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return *dataset;
  }
  TestDirectory dir_;
};

LoaderPlan Plan(int64_t B, Packing packing = Packing::kConcatenate) {
  return {.B = B, .T = 24, .seed = 3, .mask_documents = true, .packing = packing, .shuffle_tokens = 720};
}

// Everything that sequences [first, first + count) hold.
std::vector<int32_t> Contents(const TokenBatch& batch) {
  std::vector<int32_t> all;
  for (const auto* values : {&batch.tokens, &batch.targets, &batch.document_start, &batch.positions}) {
    all.insert(all.end(), values->begin(), values->end());
  }
  return all;
}

std::unique_ptr<Loader> MustLoad(std::vector<Dataset> sources, const LoaderPlan& plan) {
  auto loader = Loader::Create(std::move(sources), plan);
  EXPECT_TRUE(loader.ok()) << loader.status();
  return *std::move(loader);
}

TEST_F(StreamingTest, TheTokensAreThoseOfABuild) {
  const Dataset built = Prebuilt();
  FillTo(INT64_MAX);
  const Dataset cached = Cached();
  for (const Split split : kSplits) EXPECT_EQ(TokensOf(cached, split), TokensOf(built, split));
  EXPECT_GT(cached.state().manifest.split(Split::kTraining).shards.size(), 10u);
  EXPECT_TRUE(cached.state().manifest.stream->complete);
  const auto& counts = cached.state().manifest.counts;
  EXPECT_TRUE(counts == built.state().manifest.counts) << counts.documents << " " << counts.text_bytes;
  const auto& sources = cached.state().manifest.sources;
  ASSERT_EQ(sources.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(sources[i].tokens, built.state().manifest.sources[i].tokens);
  const auto verified = VerifyData(dir_ / "cache");
  EXPECT_TRUE(verified.ok()) << verified.status();
}

TEST_F(StreamingTest, TheOrderIsThatOfABuildOverSeveralEpochs) {
  const Dataset built = Prebuilt();
  for (const Packing packing : {Packing::kConcatenate, Packing::kBestFit}) {
    const std::string cache = packing == Packing::kConcatenate ? "windows" : "packed";
    const auto expected = MustLoad({built}, Plan(2, packing));
    const auto writer = Start(Options(cache));
    const auto loader = MustLoad({Open(writer.get(), 0, cache)}, Plan(2, packing));
    loader->Start(0, 2);
    TokenBatch batch;
    for (int64_t first = 0; first < 3 * expected->windows(); first += 2) {
      ASSERT_TRUE(expected->Read(first, batch).ok());
      ASSERT_EQ(Contents(loader->Next()), Contents(batch)) << cache << " " << first;
    }
    EXPECT_TRUE(loader->status().ok()) << loader->status();
  }
}

TEST_F(StreamingTest, OnlyTheFirstBlockIsNeededToStart) {
  const auto writer = Start(Options());
  const auto loader = MustLoad({Open(writer.get())}, Plan(1));
  TokenBatch batch;
  ASSERT_TRUE(loader->Read(0, batch).ok());
  EXPECT_LT(loader->windows(), 1) << "nobody knows yet";
  EXPECT_FALSE(Cached().state().manifest.stream->complete);
}

// What is asked for decides how far the writer goes.
TEST_F(StreamingTest, TheWriterDoesNotRunAway) {
  {
    const auto writer = Start(Options());
    const Dataset dataset = Open(writer.get());
    ASSERT_TRUE(dataset.state().growing->Require(600).ok());
  }  // its thread has ended
  const int64_t tokens = Cached().tokens(Split::kTraining);
  EXPECT_GE(tokens, 600);
  // Two shards and what the pipeline holds.
  EXPECT_LT(tokens, Prebuilt().tokens(Split::kTraining) / 2);
}

TEST_F(StreamingTest, AnyRanksAndMicroBatchesSeeOneStream) {
  const auto expected = MustLoad({Prebuilt()}, Plan(1));
  const int64_t count = 2 * expected->windows() / 12 * 12;
  std::vector<std::vector<int32_t>> rows;
  TokenBatch batch;
  for (int64_t g = 0; g < count; ++g) {
    ASSERT_TRUE(expected->Read(g, batch).ok());
    rows.push_back(Contents(batch));
  }
  for (const int64_t W : {1, 2, 4}) {
    for (const int64_t B : {W == 2 ? 1 : 3}) {
      const std::string cache = "cache-" + std::to_string(W) + std::to_string(B);
      const auto writer = Start(Options(cache));
      std::vector<std::unique_ptr<Loader>> loaders;
      for (int64_t rank = 0; rank < W; ++rank) {
        loaders.push_back(MustLoad({Open(rank == 0 ? writer.get() : nullptr, 0, cache)}, Plan(B)));
        loaders.back()->Start(rank * B, W * B);
      }
      for (int64_t first = 0; first < count; first += W * B) {
        for (int64_t rank = 0; rank < W; ++rank) {
          const TokenBatch& got = loaders[static_cast<size_t>(rank)]->Next();
          for (int64_t b = 0; b < B; ++b) {
            const auto T = static_cast<std::ptrdiff_t>(got.T);
            const std::vector<int32_t> row(got.tokens.begin() + b * T, got.tokens.begin() + (b + 1) * T);
            const std::vector<int32_t>& whole = rows[static_cast<size_t>(first + rank * B + b)];
            ASSERT_TRUE(std::equal(row.begin(), row.end(), whole.begin())) << W << " " << B << " " << first;
          }
        }
      }
    }
  }
}

TEST_F(StreamingTest, MixesWithBuiltDatasets) {
  const Dataset built = Prebuilt();
  const std::string input = WriteDocuments("more.jsonl", 1000, 1100);
  const Dataset more = MustBuild({.inputs = {input}, .output = dir_ / "more"}, ByteEncoder(dir_));
  LoaderPlan plan = Plan(4);
  plan.stages = {{0, {3, 1}}, {1024, {1, 1}}};
  const auto expected = MustLoad({built, more}, plan);
  const auto writer = Start(Options());
  const auto loader = MustLoad({Open(writer.get()), more}, plan);
  loader->Start(0, 4);
  TokenBatch batch;
  for (int64_t first = 0; first < 2048; first += 4) {
    ASSERT_TRUE(expected->Read(first, batch).ok());
    ASSERT_EQ(Contents(loader->Next()), Contents(batch)) << first;
  }
}

TEST_F(StreamingTest, StopsAndGoesOnAnywhere) {
  const Dataset built = Prebuilt();
  for (int64_t stop = 1; stop < built.tokens(Split::kTraining) + 500; stop += 2111) {
    const std::string cache = "cache-" + std::to_string(stop);
    FillTo(stop, cache);
    FillTo(stop + 700, cache);
    FillTo(INT64_MAX, cache);
    for (const Split split : kSplits) ASSERT_EQ(TokensOf(Cached(cache), split), TokensOf(built, split)) << stop;
    EXPECT_TRUE(Cached(cache).state().manifest.counts == built.state().manifest.counts) << stop;
  }
}

// A writer that is killed leaves an unfinished shard, or whole ones that no manifest names, or a manifest's temporary.
TEST_F(StreamingTest, WhatAKilledWriterLeavesIsMadeAgain) {
  const Dataset built = Prebuilt();
  FillTo(2500);
  const size_t shards = Cached().state().manifest.split(Split::kTraining).shards.size();
  const auto name = [](const char* split, size_t n) { return absl::StrFormat("cache/%s-%05d.shard", split, n); };
  dir_.Write(name("training", shards), "INGOTSHD, and then nothing");
  dir_.Write(name("training", shards + 1), ReadAll(dir_ / name("training", 0)));
  dir_.Write(name("validation", 900), "");
  dir_.Write("cache/stream.json.tmp-1", "{");
  dir_.Write("cache/failure.txt", "of an earlier start");
  FillTo(INT64_MAX);
  EXPECT_EQ(TokensOf(Cached(), Split::kTraining), TokensOf(built, Split::kTraining));
  EXPECT_FALSE(std::filesystem::exists(dir_ / name("validation", 900)));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "cache/stream.json.tmp-1"));
  const auto verified = VerifyData(dir_ / "cache");
  EXPECT_TRUE(verified.ok()) << verified.status();
}

// Killed before there was a manifest.
TEST_F(StreamingTest, AnUnbegunCacheIsTaken) {
  dir_.Write("cache/tokenizer/tokenizer.json", "half");
  dir_.Write("cache/.lock", "");
  dir_.Write("cache/stream.json.tmp-77", "{");
  FillTo(INT64_MAX);
  EXPECT_EQ(TokensOf(Cached(), Split::kTraining), TokensOf(Prebuilt(), Split::kTraining));
  const auto verified = VerifyData(dir_ / "cache");
  EXPECT_TRUE(verified.ok()) << verified.status();
}

TEST_F(StreamingTest, AFlippedByteOfTheManifestIsFound) {
  FillTo(1000);
  std::string text = ReadAll(dir_ / "cache/stream.json");
  for (size_t i = 0; i < text.size(); i += 97) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    dir_.Write("cache/stream.json", damaged);
    EXPECT_FALSE(Dataset::Open(dir_ / "cache").ok()) << i;
    EXPECT_FALSE(StartError(Options()).ok()) << i;
  }
}

TEST_F(StreamingTest, NewFilesAreReadAfterThoseSeenBefore) {
  // a.jsonl is being read when A.jsonl comes, whose name sorts before it.
  FillTo(600);
  const std::string before = WriteDocuments("docs/A.jsonl", 500, 540), last = WriteDocuments("docs/d.jsonl", 600, 640);
  FillTo(INT64_MAX);
  const std::vector<std::string> order = {dir_ / "docs/a.jsonl", dir_ / "docs/b.jsonl", dir_ / "docs/c.jsonl", before,
                                          last};
  std::vector<std::string> found;
  const Dataset cached = Cached();
  for (const SourceEntry& source : cached.state().manifest.sources) found.push_back(source.path);
  EXPECT_EQ(found, order);
  EXPECT_EQ(TokensOf(Cached(), Split::kTraining), TokensOf(Prebuilt(order), Split::kTraining));
  // When it is complete nothing comes any more.
  WriteDocuments("docs/e.jsonl", 700, 740);
  FillTo(INT64_MAX);
  EXPECT_EQ(Cached().state().manifest.sources.size(), 5u);
}

TEST_F(StreamingTest, ChangedInputsAreNamed) {
  FillTo(4700);
  ASSERT_TRUE(Cached().state().manifest.stream->files[0].done);
  ASSERT_FALSE(Cached().state().manifest.stream->files[2].begun());
  const std::string first = dir_ / "docs/a.jsonl", text = ReadAll(first);
  const auto time = std::filesystem::last_write_time(first);
  dir_.Write("docs/a.jsonl", text + "{\"text\": \"more\"}\n");
  EXPECT_THAT(std::string(StartError(Options()).message()), HasSubstr("a.jsonl: expected the raw documents as they"));
  dir_.Write("docs/a.jsonl", text);
  EXPECT_THAT(std::string(StartError(Options()).message()), HasSubstr("a.jsonl: expected"));  // another time
  std::filesystem::last_write_time(first, time);
  EXPECT_TRUE(StartError(Options()).ok());
  std::filesystem::remove(first);
  EXPECT_THAT(std::string(StartError(Options()).message()), HasSubstr("a.jsonl: expected the raw documents that were"));
  dir_.Write("docs/a.jsonl", text);
  std::filesystem::last_write_time(first, time);
  WriteDocuments("docs/c.jsonl", 0, 10);  // not begun: may still change
  EXPECT_TRUE(StartError(Options()).ok());
}

TEST_F(StreamingTest, OtherRulesAreRefused) {
  FillTo(600);
  StreamOptions other = Options();
  other.documents.curation.min_bytes = 10;
  EXPECT_THAT(std::string(StartError(other).message()), HasSubstr("documents of 10 to 0 bytes"));
  other = Options();
  other.validation_fraction = 0.2;
  EXPECT_THAT(std::string(StartError(other).message()), HasSubstr("validation fraction 0.2"));
  TextEncoder encoder = ByteEncoder(dir_);
  dir_.Write("other/tokenizer.json", "{\"b\": \"another\"}\n");
  encoder.directory = dir_ / "other";
  EXPECT_THAT(std::string(StreamWriter::Start(Options(), encoder).status().message()), HasSubstr("found \"tokenizer"));
  other = Options();
  other.documents.curation.deduplicate = Deduplication::kDocuments;
  EXPECT_THAT(std::string(StartError(other).message()), HasSubstr("data build"));
  Prebuilt();
  EXPECT_THAT(std::string(StartError(Options("built")).message()), HasSubstr("found dataset.json"));
}

TEST_F(StreamingTest, OneProcessWrites) {
  const auto writer = Start(Options());
  EXPECT_THAT(std::string(StartError(Options()).message()), HasSubstr("another process"));
}

TEST_F(StreamingTest, AnErrorReachesEveryRank) {
  dir_.Write("docs/b.jsonl", AsJsonl(SomeDocuments(40)) + "{\"text\": 7}\n");
  const auto writer = Start(Options());
  const Dataset here = Open(writer.get()), there = Open(nullptr);
  const absl::Status status = here.state().growing->Require(INT64_MAX);
  EXPECT_THAT(std::string(status.message()), HasSubstr("raw documents failed"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("b.jsonl"));
  EXPECT_THAT(std::string(there.state().growing->Require(INT64_MAX).message()), HasSubstr("b.jsonl"));
  // A loader ends with it, behind what was there.
  const auto loader = MustLoad({here}, Plan(2));
  loader->Start(0, 2);
  int batches = 0;
  while (loader->status().ok() && batches < 100000) (void)loader->Next(), ++batches;
  EXPECT_THAT(std::string(loader->status().message()), HasSubstr("b.jsonl"));
  EXPECT_GT(batches, 20);
}

TEST_F(StreamingTest, BadLinesAreSkippedAndCountedOnceThoughReadTwice) {
  dir_.Write("docs/a.jsonl", "no object\n" + AsJsonl(SomeDocuments(120)) + "{\n" + AsJsonl(SomeDocuments(30)) + "[]\n");
  StreamOptions options = Options();
  options.documents.skip_bad_lines = true;
  for (const int64_t tokens : {int64_t{700}, int64_t{1500}, INT64_MAX}) {
    const auto writer = Start(options);
    ASSERT_TRUE(Open(writer.get()).state().growing->Require(tokens).ok());
  }
  EXPECT_EQ(Cached().state().manifest.counts.bad_lines, 3);
}

TEST_F(StreamingTest, AFileThatChangesWhileItIsReadEndsTheStream) {
  DatasetManifest manifest;
  manifest.stream.emplace();
  RawDocuments documents({.names = {dir_ / "docs"}, .documents = {}, .split = {}, .batch_bytes = 200}, manifest);
  RawBatch batch;
  ASSERT_TRUE(*documents.Next(batch));
  EXPECT_EQ(batch.new_files.size(), 3u);
  EXPECT_EQ(batch.file, 0u);
  std::ofstream(dir_ / "docs/a.jsonl", std::ios::app) << "{\"text\": \"appended\"}\n";
  absl::StatusOr<bool> found = true;
  while (found.ok() && *found && batch.file == 0) found = documents.Next(batch);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("a.jsonl: expected the raw documents as they were"));
}

TEST_F(StreamingTest, EmptyFilesAreNoFaultButNoTextIs) {
  dir_.Write("docs/b.jsonl", "");
  FillTo(INT64_MAX);
  EXPECT_EQ(TokensOf(Cached(), Split::kTraining), TokensOf(Prebuilt(), Split::kTraining));
  dir_.Write("nothing/a.txt", "");
  StreamOptions options = Options("empty");
  options.inputs = {dir_ / "nothing"};
  const auto writer = Start(options);
  const auto loader = MustLoad({Open(writer.get(), 0, "empty")}, Plan(1));
  TokenBatch batch;
  EXPECT_THAT(std::string(loader->Read(0, batch).message()), HasSubstr("the training split has 0 tokens"));
}

TEST_F(StreamingTest, TheValidationSplitIsTheBeginningOfTheBuiltOne) {
  const auto writer = Start(Options());
  const Dataset dataset = Open(writer.get(), 200);
  EXPECT_GE(dataset.tokens(Split::kValidation), 200);
  std::vector<int32_t> expected = TokensOf(Prebuilt(), Split::kValidation);
  EXPECT_LT(dataset.tokens(Split::kValidation), static_cast<int64_t>(expected.size()));
  expected.resize(static_cast<size_t>(dataset.tokens(Split::kValidation)));
  EXPECT_EQ(TokensOf(dataset, Split::kValidation), expected);
  // With a cache that holds more it is the same.
  ASSERT_TRUE(dataset.state().growing->Require(INT64_MAX).ok());
  EXPECT_EQ(TokensOf(Open(nullptr, 200), Split::kValidation), expected);
}

TEST_F(StreamingTest, AMarkTellsOtherDocuments) {
  StreamMark mark;
  {
    const auto writer = Start(Options());
    const Dataset dataset = Open(writer.get());
    ASSERT_TRUE(dataset.state().growing->Require(5000).ok());
    mark = dataset.state().growing->mark();
    EXPECT_GE(mark.tokens, 5000);
  }
  // The same documents again, with the cache or without it.
  for (const char* cache : {"cache", "again"}) {
    const auto writer = Start(Options(cache));
    const Dataset dataset = Open(writer.get(), 0, cache);
    ASSERT_TRUE(dataset.state().growing->Expect(mark).ok());
    const absl::Status status = dataset.state().growing->Require(1);
    EXPECT_TRUE(status.ok()) << status;
  }
  WriteDocuments("docs/b.jsonl", 151, 201);
  const auto writer = Start(Options("other"));
  const Dataset dataset = Open(writer.get(), 0, "other");
  ASSERT_TRUE(dataset.state().growing->Expect(mark).ok()) << "not known yet";
  EXPECT_THAT(std::string(dataset.state().growing->Require(1).message()), HasSubstr("raw documents have changed"));
  EXPECT_FALSE(dataset.state().growing->Expect(mark).ok());
  const Dataset later = Open(nullptr, 0, "other");
  ASSERT_TRUE(later.state().growing->Expect({mark.tokens - 1, mark.hash}).ok());
  EXPECT_FALSE(later.state().growing->Require(1).ok());
}

TEST_F(StreamingTest, AStalledWriterIsAnError) {
  { const auto writer = Start(Options()); }
  const auto dataset = OpenGrowing({.cache = dir_ / "cache", .stall = std::chrono::milliseconds(20)}, 0);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(std::string(dataset->state().growing->Require(1).message()), HasSubstr("cache: expected another shard"));
}

TEST_F(StreamingTest, ALoaderThatWaitsCanBeStoppedAndStartedElsewhere) {
  { const auto writer = Start(Options()); }
  const auto loader = MustLoad({Open(nullptr)}, Plan(1));
  loader->Start(0, 1);  // waits for ever: nobody writes
  const auto writer = Start(Options());
  const Dataset asks = Open(writer.get());
  loader->Start(40, 1);
  ASSERT_TRUE(asks.state().growing->Require(INT64_MAX).ok());
  TokenBatch batch;
  ASSERT_TRUE(MustLoad({Prebuilt()}, Plan(1))->Read(40, batch).ok());
  EXPECT_EQ(Contents(loader->Next()), Contents(batch));
}

TEST_F(StreamingTest, AnOrderOverEverythingIsRefused) {
  const auto writer = Start(Options());
  LoaderPlan plan = Plan(1);
  plan.shuffle_tokens = 0;
  EXPECT_THAT(std::string(Loader::Create({Open(writer.get())}, plan).status().message()), HasSubstr("shuffle_tokens"));
}

}  // namespace
}  // namespace ingot
