#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "data_pipeline/curation/curator.h"
#include "data_pipeline/curation/evaluation_texts.h"
#include "data_pipeline/curation/predicate.h"
#include "data_pipeline/curation/words.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 1: holds, 0: does not, -1: wrong type.
int Holds(const char* predicate, const ColumnValue& column) {
  const auto parsed = Predicate::Parse(predicate);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  const auto holds = parsed->Holds(column);
  return holds.ok() ? *holds : -1;
}

TEST(Predicate, ComparesNumbersStringsAndBooleans) {
  EXPECT_EQ(Holds("score>=3", 3.0), 1);
  EXPECT_EQ(Holds("score>=3", 2.9), 0);
  EXPECT_EQ(Holds("score > 3", 3.0), 0);
  EXPECT_EQ(Holds("score<-1e2", -101.0), 1);
  EXPECT_EQ(Holds("score<=0.5", 0.5), 1);
  EXPECT_EQ(Holds("score!=3|4", 4.0), 0);
  EXPECT_EQ(Holds("language = en|de", std::string("de")), 1);
  EXPECT_EQ(Holds("language=en|de", std::string("fr")), 0);
  EXPECT_EQ(Holds("language!=en", std::string("fr")), 1);
  EXPECT_EQ(Holds("kept=true", true), 1);
  EXPECT_EQ(Holds("kept=\"true\"", std::string("true")), 1);
  EXPECT_EQ(Holds("kind=\"a|b\"|\"\\\"\"", std::string("a|b")), 1);
  EXPECT_EQ(Holds("kind=\"a|b\"|\"\\\"\"", std::string("\"")), 1);
  EXPECT_EQ(Holds("kind=\"\"", std::string()), 1);
  EXPECT_EQ(Holds("kept=true", 1.0), -1);
  EXPECT_EQ(Holds("score>=3", std::string("4")), -1);
  EXPECT_THAT(Predicate::Parse("meta.quality.score>1")->path(), ElementsAre("meta", "quality", "score"));
}

TEST(Predicate, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "score", "=3", "a..b=1", "score==3", "score=>3", "score>=", "score>=en", "score>1|2",
                           "a=1|en", "a<true", "a=|b", ".a=1"}) {
    EXPECT_THAT(std::string(Predicate::Parse(text).status().message()), HasSubstr("score>=3")) << text;
  }
}

TEST(SeenTexts, KnowsWhatItHasSeen) {
  SeenTexts seen(1 << 24);
  std::set<std::string> texts;
  for (int i = 0; i < 20000; ++i) {  // grows several times
    const std::string text = absl::StrCat("text ", i * 7919 % 9973);
    EXPECT_EQ(seen.Insert(HashText(text, 1)).value(), texts.insert(text).second) << text;
  }
  EXPECT_EQ(seen.size(), static_cast<int64_t>(texts.size()));
  EXPECT_TRUE(seen.Insert(HashText("text 1", 2)).value());  // another kind
}

TEST(SeenTexts, HashesDifferInLengthOrderAndZeros) {
  std::set<std::pair<uint64_t, uint64_t>> hashes;
  const std::string zeros(40, '\0');
  for (size_t n = 0; n <= zeros.size(); ++n) {
    const Hash128 hash = HashText(absl::string_view(zeros).substr(0, n), 1);
    hashes.insert({hash.low, hash.high});
    for (const uint64_t half : {hash.low, hash.high}) EXPECT_NE(half, 0u);
  }
  for (const char* text : {"abcdefghABCDEFGH", "ABCDEFGHabcdefgh"}) {
    const Hash128 hash = HashText(text, 1);
    hashes.insert({hash.low, hash.high});
  }
  EXPECT_EQ(hashes.size(), 43u);
}

TEST(SeenTexts, StopsAtItsMemory) {
  SeenTexts seen(1 << 18);  // 8,192 slots and the 4,096 before them; 16,384 would not fit
  absl::Status status;
  int64_t inserted = 0;
  for (; status.ok() && inserted < 100000; ++inserted) {
    status = seen.Insert(HashText(absl::StrCat(inserted), 1)).status();
  }
  EXPECT_THAT(std::string(status.message()), HasSubstr("--deduplicate-memory"));
  EXPECT_EQ(inserted - 1, 6144);
}

std::vector<uint64_t> Words(absl::string_view text) {
  std::vector<uint64_t> words;
  WordHashes reader(text);
  for (uint64_t word; reader.Next(word);) words.push_back(word);
  return words;
}

TEST(Words, CaseAndPunctuationDoNotCount) {
  EXPECT_EQ(Words("  The quick, (brown) FOX's\tden.\n"), Words("the Quick brown foxs den"));
  EXPECT_EQ(Words("a b").size(), 2u);
  EXPECT_EQ(Words("\xC2\xA0 \xE3\x80\x80...!").size(), 0u);  // spaces of Unicode, and punctuation alone
  EXPECT_EQ(Words("a\xC2\xA0\x62"), Words("a b"));
  EXPECT_EQ(Words("na\xC3\xAFve"), Words("NA\xC3\xAFVE"));
  EXPECT_EQ(Words("\xFF\xC3"), Words(""));
  EXPECT_NE(Words("ab"), Words("ba"));
}

TEST(Words, HanAndKanaAreWordsByThemselves) {
  EXPECT_EQ(Words("中文abc字").size(), 4u);
  EXPECT_EQ(Words("中文"), Words("中 文"));
  EXPECT_EQ(Words("한국어").size(), 1u);
}

const char* const kQuestion = "Which of these thirteen words in a row stands in no other text at all today?";

TEST(Decontaminator, FindsThirteenWordsInARow) {
  const TestDirectory dir;
  const std::string file = dir.Write("eval.jsonl", absl::StrCat("{\"q\": {\"text\": [\"", kQuestion,
                                                                "\"]}, \"n\": 3, "
                                                                "\"answer\": \"none of them\"}\n\n"));
  const auto made = Decontaminator::Create({file}, 13);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->files()[0].texts, 1);
  EXPECT_EQ(made->files()[0].short_texts, 1);
  EXPECT_EQ(made->FindMatch(absl::StrCat("Before it: ", kQuestion, " After it.")), 0);
  EXPECT_EQ(made->FindMatch("x y OF these, thirteen words in a row stands in no other text at z"), 0);  // 13
  EXPECT_EQ(made->FindMatch("x y of these thirteen words in a row stands in no other text z"), -1);     // 12
  EXPECT_EQ(made->FindMatch("x of these thirteen words in a ROW, ROW stands in no other text at"), -1);
  EXPECT_EQ(made->FindMatch("none of them"), -1);
  EXPECT_EQ(made->FindMatch(""), -1);
}

TEST(Decontaminator, ShortTextsMatchAsAWhole) {
  const TestDirectory dir;
  dir.Write("eval/a.txt", "one two three four five six seven");  // too short
  dir.Write("eval/b.txt", "one two three four five six seven eight nine");
  dir.Write("eval/c.txt.gz", Gzip("b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 b10"));
  const auto made = Decontaminator::Create({dir / "eval"}, 13);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->FindMatch("zero one two three four five six seven eight nine ten"), 1);
  EXPECT_EQ(made->FindMatch("one two three four five six seven eight ten"), -1);
  EXPECT_EQ(made->FindMatch("a b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 b10 c"), 2);
}

// Against the plain way: every window of every text.
TEST(Decontaminator, AgreesWithComparingAllWindows) {
  const TestDirectory dir;
  uint32_t state = 1;
  const auto text_of = [&](int words) {
    std::string text;
    for (int i = 0; i < words; ++i) {
      state = state * 1664525 + 1013904223;
      absl::StrAppend(&text, i > 0 ? " " : "", state >> 24 & 1);  // few words: matches happen
    }
    return text;
  };
  std::vector<std::string> texts;
  std::string lines;
  for (const int words : {8, 9, 11, 30, 17}) {
    texts.push_back(text_of(words));
    absl::StrAppend(&lines, "\"", texts.back(), "\"\n");
  }
  const auto made = Decontaminator::Create({dir.Write("e.jsonl", lines)}, 12);
  ASSERT_TRUE(made.ok()) << made.status();
  int found = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string document = absl::StrCat(" ", text_of(5 + i % 40), " ");
    bool expected = false;
    for (const std::string& text : texts) {
      const size_t length = std::min<size_t>(23, text.size());  // 12 words of one digit and their blanks
      for (size_t at = 0; at + length <= text.size(); at += 2) {
        expected |= document.find(absl::StrCat(" ", text.substr(at, length), " ")) != std::string::npos;
      }
    }
    EXPECT_EQ(made->FindMatch(document) >= 0, expected) << document;
    found += expected;
  }
  EXPECT_GT(found, 30);
  EXPECT_LT(found, 270);
}

TEST(EvaluationTexts, NamesABadLine) {
  const TestDirectory dir;
  const auto visit = [](absl::string_view) {};
  const absl::Status status = ForEachEvaluationText(dir.Write("e.jsonl", "{}\n\n{\"a\": \"b}\n"), visit);
  EXPECT_THAT(std::string(status.message()), HasSubstr("e.jsonl:3"));
  EXPECT_FALSE(ForEachEvaluationText(dir / "none.txt", visit).ok());
}

class CuratorTest : public ::testing::Test {
 protected:
  // What is left of `documents`.
  std::vector<std::string> Keep(const CurationOptions& options, std::vector<std::string> documents) {
    counts_ = {};
    const auto curator = Curator::Create(options, counts_);
    EXPECT_TRUE(curator.ok()) << curator.status();
    std::vector<std::string> kept;
    for (std::string& text : documents) {
      const auto stays = (*curator)->Keep(text);
      EXPECT_TRUE(stays.ok()) << stays.status();
      if (*stays) kept.push_back(text);
    }
    return kept;
  }
  CurationCounts counts_;
};

TEST_F(CuratorTest, LengthsAreInclusive) {
  EXPECT_THAT(Keep({.min_bytes = 2, .max_bytes = 3}, {"a", "ab", "abc", "abcd"}), ElementsAre("ab", "abc"));
  EXPECT_EQ(counts_.short_documents, 1);
  EXPECT_EQ(counts_.long_documents, 1);
  EXPECT_THAT(std::string(Curator::Create({.min_bytes = 3, .max_bytes = 2}, counts_).status().message()),
              HasSubstr("no document"));
}

TEST_F(CuratorTest, TheFirstOfEqualDocumentsStays) {
  EXPECT_THAT(Keep({.deduplicate = Deduplication::kDocuments}, {"a", "b", "a", "ab", "b", "b"}),
              ElementsAre("a", "b", "ab"));
  EXPECT_EQ(counts_.duplicate_documents, 3);
  EXPECT_EQ(counts_.duplicate_bytes, 3);
}

TEST_F(CuratorTest, ParagraphsSeenBeforeAreRemoved) {
  const CurationOptions options = {.deduplicate = Deduplication::kParagraphs, .deduplicate_min_bytes = 3};
  EXPECT_THAT(Keep(options, {"first\nline\n\nsecond\n", "new\n\r\nfirst\nline\n\nh\n\nlast", "second\n\n\nfirst\nline",
                             "h\n\nsecond", "first\n\nline\n\nfirst"}),
              ElementsAre("first\nline\n\nsecond\n", "new\n\r\nh\n\nlast", "h", "first\n\nline"));
  EXPECT_EQ(counts_.duplicate_parts, 5);
  EXPECT_EQ(counts_.duplicate_documents, 0);
  EXPECT_EQ(counts_.short_documents, 1);  // the third: nothing is left
}

TEST_F(CuratorTest, LinesSeenBeforeAreRemoved) {
  const CurationOptions options = {.min_bytes = 4, .deduplicate = Deduplication::kLines, .deduplicate_min_bytes = 2};
  EXPECT_THAT(Keep(options, {"menu\none\n}\n", "menu\ntwo\n}\nmenu\n", "menu\n}\n"}),
              ElementsAre("menu\none\n}\n", "two\n}"));
  EXPECT_EQ(counts_.duplicate_parts, 3);
  EXPECT_EQ(counts_.short_documents, 1);
}

// Everything together, through the builder and its manifest.
TEST(Curation, BuildReportsWhatItLeftOut) {
  const TestDirectory dir;
  std::string lines;
  const auto add = [&](absl::string_view text, absl::string_view columns) {
    absl::StrAppend(&lines, "{\"text\": \"", text, "\", \"metadata\": {", columns, "}}\n");
  };
  for (int i = 0; i < 200; ++i) add(absl::StrCat("document number ", i), "\"language\": \"en\", \"score\": 4");
  add("document number 7", "\"language\": \"en\", \"score\": 4");
  add("document in another language", "\"language\": \"fr\", \"score\": 4");
  add("document that scores too low", "\"language\": \"de\", \"score\": 1.5");
  add("document without a score", "\"language\": \"de\"");
  add("tiny", "\"language\": \"de\", \"score\": 3");
  add(absl::StrCat("It asks: ", kQuestion), "\"language\": \"de\", \"score\": 3");
  BuildOptions options;
  options.inputs = {dir.Write("in.jsonl", lines)};
  options.output = dir / "out";
  options.validation_fraction = 0;
  options.documents.curation = {.where = {"metadata.language=en|de", "metadata.score>=3"},
                                .min_bytes = 5,
                                .deduplicate = Deduplication::kDocuments,
                                .decontaminate = {dir.Write("eval.txt", kQuestion)}};
  const Dataset dataset = MustBuild(options, ByteEncoder(dir));
  const DatasetManifest& manifest = dataset.state().manifest;
  EXPECT_EQ(manifest.counts.documents, 200);
  const CurationCounts& counts = manifest.counts.curation;  // as read back
  EXPECT_EQ(counts.column_documents, 3);
  EXPECT_EQ(counts.short_documents, 1);
  EXPECT_EQ(counts.duplicate_documents, 1);
  EXPECT_EQ(counts.duplicate_bytes, 17);
  EXPECT_EQ(counts.contaminated_documents, 1);
  ASSERT_EQ(counts.evaluation.size(), 1u);
  EXPECT_EQ(counts.evaluation[0].documents, 1);
  EXPECT_EQ(counts.evaluation[0].texts, 1);
  EXPECT_EQ(dataset.documents(Split::kTraining), 200);
  EXPECT_THAT(ReadAll(options.output + "/dataset.json"), HasSubstr("\"metadata.score>=3\""));
  // A second pass over the input, where the tail validates, leaves out the same.
  options.validation_fraction = 0.4;
  options.output = dir / "tail";
  options.inputs = {dir.Write("long.txt", std::string(1000, 'a') + "\n\n" + std::string(1000, 'a') + "\n\nb\n\n")};
  options.documents.curation = {.deduplicate = Deduplication::kDocuments};
  options.documents.blank_line_documents = true;
  const Dataset tail = MustBuild(options, ByteEncoder(dir));
  EXPECT_TRUE(tail.state().manifest.validation_is_tail);
  EXPECT_EQ(tail.state().manifest.counts.curation.duplicate_documents, 1);
  EXPECT_EQ(tail.text_bytes(Split::kTraining) + tail.text_bytes(Split::kValidation), 1001);
}

TEST(Curation, ColumnsOfOtherTypesAreNamed) {
  const TestDirectory dir;
  BuildOptions options;
  options.inputs = {dir.Write("in.jsonl", "{\"text\": \"a\", \"score\": 3}\n{\"text\": \"b\", \"score\": \"3\"}\n")};
  options.output = dir / "out";
  options.validation_fraction = 0;
  options.documents.curation.where = {"score>=3"};
  const auto message = [&] { return std::string(BuildDataset(options, ByteEncoder(dir)).status().message()); };
  EXPECT_THAT(message(), ::testing::AllOf(HasSubstr("in.jsonl:2"), HasSubstr("wants a number, found a string")));
  options.documents.curation.where = {"score>3"};
  options.documents.skip_bad_lines = true;
  EXPECT_THAT(message(), HasSubstr("left out by columns 1"));
  options.documents.curation.where = {"score>=3"};
  const Dataset dataset = MustBuild(options, ByteEncoder(dir));
  EXPECT_EQ(dataset.state().manifest.counts.bad_lines, 1);
  options.inputs.push_back(dir.Write("in.txt", "text"));
  options.output = dir / "out2";
  EXPECT_THAT(message(), HasSubstr("has no columns"));
}

}  // namespace
}  // namespace ingot
