// Parquet: the files in tests/golden/parquet were written by pyarrow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "data_pipeline/chunk_order.h"
#include "data_pipeline/curation/evaluation_texts.h"
#include "data_pipeline/parquet/library.h"
#include "tests/data_pipeline/read_documents.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Golden(const std::string& name) { return INGOT_SOURCE_DIR "/tests/golden/parquet/" + name; }
const char* const kFiles[] = {"rows.parquet", "encodings.parquet"};

class Parquet : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const absl::Status there = ParquetIsThere(); !there.ok()) GTEST_SKIP() << there.message();
  }
};

DocumentOptions Where(const std::vector<std::string>& where) { return {.curation = {.where = where}}; }

TEST_F(Parquet, RowsInOrderForAnyNumberOfThreads) {
  for (const char* name : kFiles) {
    for (const int threads : {0, 1, 2, 5}) {
      const Read read = ReadDocuments({Golden(name)}, {.decode_threads = threads});
      EXPECT_TRUE(read.status.ok()) << read.status;
      EXPECT_THAT(read.texts, ElementsAre("text 0 é", "text 1 é", "text 2 é", "text 3 é", "text 5 é", "text 6 é"));
      EXPECT_EQ(read.counts.empty_documents, 1);
    }
  }
}

TEST_F(Parquet, NullAndBytesThatAreNotUtf8AreBadRows) {
  for (const char* name : kFiles) {
    DocumentOptions options = {.text_field = "with_null"};
    EXPECT_THAT(Message(ReadDocuments({Golden(name)}, options)),
                AllOf(StartsWith(Golden(name) + ": row 4: expected text in the column \"with_null\"; found null"),
                      HasSubstr("--skip-bad-lines")));
    options.skip_bad_lines = true;
    const Read read = ReadDocuments({Golden(name)}, options);
    EXPECT_THAT(read.texts, ElementsAre("row 0", "row 1", "row 2", "row 4", "row 5", "row 6"));
    EXPECT_EQ(read.counts.bad_lines, 1);
    EXPECT_THAT(Message(ReadDocuments({Golden(name)}, {.text_field = "bytes"})),
                HasSubstr("row 3: expected text in the column \"bytes\"; found bytes that are not UTF-8"));
    EXPECT_THAT(Message(ReadDocuments({Golden(name)}, {.max_document_bytes = 8})), HasSubstr("row 1: a document of"));
  }
}

TEST_F(Parquet, PredicatesOverEveryType) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases = {
      {{"count>=40"}, {"text 6 é"}},  // row 4 is empty, row 5 has null
      {{"unsigned<4294967292"}, {"text 5 é", "text 6 é"}},
      {{"score<=0.5"}, {"text 0 é", "text 1 é"}},
      {{"good=false"}, {"text 1 é", "text 3 é", "text 5 é"}},
      {{"language=en|fr"}, {"text 0 é", "text 2 é", "text 3 é"}},
      {{"language!=en"}, {"text 1 é", "text 3 é", "text 5 é"}},
      {{"bytes=plain", "count<=10"}, {"text 0 é", "text 1 é"}},
      {{"meta.quality>0.1", "meta.source.name!=s2"}, {"text 3 é", "text 6 é"}},
      {{"good=true", "language=en", "score>0"}, {"text 2 é"}}};
  for (const char* name : kFiles) {
    for (const auto& [where, texts] : cases) {
      const Read read = ReadDocuments({Golden(name)}, Where(where));
      EXPECT_TRUE(read.status.ok()) << read.status;
      EXPECT_EQ(read.texts, texts) << where[0];
      EXPECT_EQ(read.counts.curation.column_documents + read.counts.empty_documents + read.counts.documents, 7);
    }
  }
  const Read nested =
      ReadDocuments({Golden("rows.parquet")}, {.text_field = "meta.source.name", .skip_bad_lines = true});
  EXPECT_THAT(nested.texts, ElementsAre("s0", "s2", "s0", "s1", "s2", "s0"));
}

TEST_F(Parquet, ColumnsThatCannotBeReadAreNamed) {
  const std::string path = Golden("rows.parquet");
  const std::vector<std::pair<std::string, std::string>> fields = {
      {"body", "expected a column \"body\"; found \"text\", \"with_null\""},
      {"meta", "\"meta\" is nested: it holds \"meta.quality\""},
      {"tags", "\"tags\" is nested: it holds \"tags.list.element\""},
      {"tags.list.element", "\"tags.list.element\" is in a list"},
      {"day", "\"day\" is of type Date"},
      {"half", "\"half\" is of type Float16"},
      {"count", "expected texts in the column \"count\"; found numbers; --field"},
      {"good", "expected texts in the column \"good\"; found true and false"}};
  for (const auto& [field, message] : fields) {
    const std::string found = Message(ReadDocuments({path}, {.text_field = field, .skip_bad_lines = true}));
    EXPECT_THAT(found, AllOf(StartsWith(path + ": "), HasSubstr(message))) << field;
  }
  EXPECT_THAT(Message(ReadDocuments({path}, Where({"tags=all"}))), HasSubstr("\"tags\" is nested"));
  EXPECT_THAT(Message(ReadDocuments({path}, Where({"quality>1"}))), HasSubstr("expected a column \"quality\""));
  EXPECT_THAT(Message(ReadDocuments({path}, Where({"score=high"}))),
              HasSubstr("'score=high' wants a string, found a number"));
  EXPECT_THAT(Message(ReadDocuments({Golden("encrypted.parquet")})),
              HasSubstr("encrypted.parquet: the file is encrypted"));
  EXPECT_THAT(Message(ReadDocuments({Golden("encrypted_column.parquet")})), HasSubstr("\"text\" is encrypted"));
  EXPECT_EQ(
      ReadDocuments({Golden("encrypted_column.parquet")}, {.text_field = "meta.source.name", .skip_bad_lines = true})
          .texts.size(),
      6u);
}

TEST_F(Parquet, DirectoriesHoldItBesideOthers) {
  const TestDirectory dir;
  dir.Write("a.jsonl", "{\"text\": \"first\", \"count\": 0}\n");
  dir.Write("b.parquet", ReadAll(Golden("rows.parquet")));
  dir.Write("c.jsonl", "{\"text\": \"last\", \"count\": 60}\n");
  const Read read = ReadDocuments({dir.path()}, Where({"count=0|60"}));
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.texts, ElementsAre("first", "text 0 é", "text 6 é", "last"));
  EXPECT_EQ(read.counts.files, 3);
}

TEST_F(Parquet, EveryStringIsAnEvaluationText) {
  std::vector<std::string> texts;
  const absl::Status read =
      ForEachEvaluationText(Golden("rows.parquet"), [&](absl::string_view text) { texts.emplace_back(text); });
  EXPECT_TRUE(read.ok()) << read;
  for (const char* text : {"text 2 é", "row 6", "plain", "fr", "s1", "t4", "all"}) EXPECT_THAT(texts, Contains(text));
  EXPECT_EQ(texts.size(), 7u + 6 + 7 + 6 + 6 + 14);
}

// A damaged file gives an error that names it, or documents; where the page checksums cover the damage, an error.
TEST_F(Parquet, DamagedFiles) {
  const TestDirectory dir;
  const std::string bytes = ReadAll(Golden("rows.parquet"));
  const std::vector<std::string> texts = ReadDocuments({Golden("rows.parquet")}).texts;
  const std::string path = dir / "a.parquet";
  for (size_t size = 0; size < bytes.size(); size += size < 16 ? 1 : 61) {
    EXPECT_THAT(Message(ReadDocuments({dir.Write("a.parquet", bytes.substr(0, size))})), HasSubstr(path)) << size;
  }
  int errors = 0;
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    const Read read = ReadDocuments({dir.Write("a.parquet", flipped)}, Where({"meta.quality>=0"}));
    errors += !read.status.ok();
    if (!read.status.ok()) {
      EXPECT_THAT(Message(read), HasSubstr(path)) << at;
    }
  }
  EXPECT_GT(errors, 20);
  std::string data = bytes;
  const size_t page = bytes.find("text 0");
  ASSERT_NE(page, std::string::npos);
  data[page] = 'T';
  const Read read = ReadDocuments({dir.Write("a.parquet", data)});
  EXPECT_THAT(Message(read), HasSubstr("row group 0, column \"text\": ")) << testing::PrintToString(read.texts);
}

TEST(ChunkOrder, TakesListsInOrderWithFewChunksWaiting) {
  constexpr int kLists = 50, kChunks = 7;
  ChunkOrder<std::pair<int, int>> order(kLists, 3);
  std::vector<std::thread> makers;
  for (int t = 0; t < 4; ++t) {
    makers.emplace_back([&] {
      while (const auto list = order.Begin()) {
        for (int i = 0; i < *list % kChunks; ++i) ASSERT_TRUE(order.Put(*list, {*list, i}));
        order.End(*list);
      }
    });
  }
  std::pair<int, int> chunk;
  for (int list = 0; list < kLists; ++list) {
    for (int i = 0; i < list % kChunks; ++i) {
      ASSERT_TRUE(order.Take(chunk));
      EXPECT_EQ(chunk, std::pair(list, i));
    }
  }
  EXPECT_FALSE(order.Take(chunk));
  for (std::thread& maker : makers) maker.join();
}

TEST(ChunkOrder, StopEndsTheMakersThatWait) {
  ChunkOrder<int> order(1000, 2);
  std::thread maker([&] {
    while (const auto list = order.Begin()) {
      while (order.Put(*list, 1)) {
      }
    }
  });
  int chunk = 0;
  EXPECT_TRUE(order.Take(chunk));
  order.Stop();
  maker.join();
}

}  // namespace
}  // namespace ingot
