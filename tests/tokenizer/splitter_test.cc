#include "tokenizer/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcre2.h>

#include <array>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/hf_patterns.h"
#include "tokenizer/unicode_tables.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;

// `batch` pieces at a time.
std::vector<std::string> Pieces(SplitPattern pattern, absl::string_view text, size_t batch = 7) {
  std::vector<std::string> pieces;
  std::vector<size_t> ends(batch);
  for (size_t begin = 0;;) {
    const size_t count = SplitText(pattern, text, begin, ends);
    if (count == 0) return pieces;
    for (size_t i = 0; i < count; ++i) {
      pieces.emplace_back(text.substr(begin, ends[i] - begin));
      begin = ends[i];
    }
  }
}

constexpr SplitPattern kQwen2 = SplitPattern::kQwen2, kGpt2 = SplitPattern::kGpt2, kLlama3 = SplitPattern::kLlama3,
                       kDigits = SplitPattern::kDigits;

TEST(SplitterTest, ContractionsByPattern) {
  EXPECT_THAT(Pieces(kGpt2, "Ab'Sc"), ElementsAre("Ab", "'", "Sc"));
  EXPECT_THAT(Pieces(kQwen2, "Ab'Sc"), ElementsAre("Ab", "'S", "c"));
  EXPECT_THAT(Pieces(kQwen2, "don'\xC5\xBFx"), ElementsAre("don", "'\xC5\xBF", "x"));
  EXPECT_THAT(Pieces(kGpt2, "don'\xC5\xBFx"), ElementsAre("don", "'", "\xC5\xBFx"));
  EXPECT_THAT(Pieces(kGpt2, "x'there"), ElementsAre("x", "'t", "here"));
  EXPECT_THAT(Pieces(kGpt2, "a 's"), ElementsAre("a", " '", "s"));
  EXPECT_THAT(Pieces(kQwen2, "a''s"), ElementsAre("a", "''", "s"));
  EXPECT_THAT(Pieces(kQwen2, "I'LL"), ElementsAre("I", "'LL"));
  EXPECT_THAT(Pieces(kDigits, "I'LL we'll"), ElementsAre("I", "'", "LL", " we", "'ll"));
  EXPECT_THAT(Pieces(kGpt2, "\xE2\x80\x99s"), ElementsAre("\xE2\x80\x99", "s"));
  EXPECT_THAT(Pieces(kQwen2, "\xE2\x80\x99s"), ElementsAre("\xE2\x80\x99s"));
}

TEST(SplitterTest, NumbersByPattern) {
  EXPECT_THAT(Pieces(kGpt2, "1234567"), ElementsAre("1234567"));
  EXPECT_THAT(Pieces(kLlama3, "1234567"), ElementsAre("123", "456", "7"));
  EXPECT_THAT(Pieces(kQwen2, "123"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Pieces(kDigits, "a  12"), ElementsAre("a", "  ", "1", "2"));
  EXPECT_THAT(Pieces(kGpt2, "12 345"), ElementsAre("12", " 345"));
  EXPECT_THAT(Pieces(kQwen2, "2 3"), ElementsAre("2", " ", "3"));
  EXPECT_THAT(Pieces(kLlama3, "12 345"), ElementsAre("12", " ", "345"));
  // superscript two, one half, Roman eight, Arabic three, ideographic zero, circled one: all are \p{N}
  const std::string numbers = "\xC2\xB2\xC2\xBD\xE2\x85\xA7\xD9\xA3\xE3\x80\x87\xE2\x91\xA0";
  EXPECT_THAT(Pieces(kGpt2, numbers), ElementsAre(numbers));
  EXPECT_EQ(Pieces(kQwen2, numbers).size(), 6u);
  EXPECT_EQ(Pieces(kLlama3, numbers).size(), 2u);
}

TEST(SplitterTest, WhiteSpaceByPattern) {
  EXPECT_THAT(Pieces(kGpt2, "a\r\n\r\nb"), ElementsAre("a", "\r\n\r", "\n", "b"));
  EXPECT_THAT(Pieces(kQwen2, "a\r\n\r\nb"), ElementsAre("a", "\r\n\r\n", "b"));
  EXPECT_THAT(Pieces(kGpt2, "  \n  x"), ElementsAre("  \n ", " x"));
  EXPECT_THAT(Pieces(kQwen2, "  \n  x"), ElementsAre("  \n", " ", " x"));
  for (const SplitPattern pattern : kAllSplitPatterns) {
    EXPECT_THAT(Pieces(pattern, "a   b"), ElementsAre("a", "  ", " b"));
    EXPECT_THAT(Pieces(pattern, "a  "), ElementsAre("a", "  "));
  }
  EXPECT_THAT(Pieces(kGpt2,
                     "a\xC2\x85"
                     "b"),
              ElementsAre("a", "\xC2\x85", "b"));
  EXPECT_THAT(Pieces(kQwen2,
                     "a\xC2\x85"
                     "b"),
              ElementsAre("a",
                          "\xC2\x85"
                          "b"));
  EXPECT_THAT(Pieces(kQwen2, "!\n\nx"), ElementsAre("!\n\n", "x"));
  EXPECT_THAT(Pieces(kGpt2, "!\n\nx"), ElementsAre("!", "\n", "\n", "x"));
  EXPECT_THAT(Pieces(kQwen2, "\n  "), ElementsAre("\n", "  "));
}

TEST(SplitterTest, NotWhiteSpaceThoughItLooksSo) {
  // U+180E, U+200B, U+2060, U+FEFF, U+001C
  for (const char* c : {"\xE1\xA0\x8E", "\xE2\x80\x8B", "\xE2\x81\xA0", "\xEF\xBB\xBF", "\x1C"}) {
    EXPECT_THAT(Pieces(kGpt2, absl::StrCat(" ", c, "!")), ElementsAre(absl::StrCat(" ", c, "!")))
        << absl::CHexEscape(c);
  }
}

TEST(SplitterTest, MarksAreNotLetters) {
  EXPECT_THAT(Pieces(kGpt2,
                     "e\xCC\x81"
                     "a"),
              ElementsAre("e", "\xCC\x81", "a"));
  EXPECT_THAT(Pieces(kQwen2,
                     "e\xCC\x81"
                     "a"),
              ElementsAre("e",
                          "\xCC\x81"
                          "a"));
  EXPECT_THAT(Pieces(kQwen2,
                     "\xE2\x80\x8D"
                     "a"),
              ElementsAre("\xE2\x80\x8D"
                          "a"));  // ZWJ
  // U+01C5, U+02B0, U+00AA are letters; U+088F (new in Unicode 17), U+E000, U+FFFE are not
  EXPECT_THAT(Pieces(kGpt2, "\xC7\x85\xCA\xB0\xC2\xAA"), ElementsAre("\xC7\x85\xCA\xB0\xC2\xAA"));
  EXPECT_THAT(Pieces(kGpt2,
                     "a\xE0\xA2\x8F\xEE\x80\x80\xEF\xBF\xBE"
                     "b"),
              ElementsAre("a", "\xE0\xA2\x8F\xEE\x80\x80\xEF\xBF\xBE", "b"));
}

TEST(SplitterTest, EachInvalidByteIsASign) {
  // truncated, overlong, a surrogate, above U+10FFFF
  for (const char* bad :
       {"\xE4\xB8", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "\x80"}) {
    EXPECT_THAT(Pieces(kGpt2, absl::StrCat("a", bad, "1")), ElementsAre("a", bad, "1")) << absl::CHexEscape(bad);
    EXPECT_THAT(Pieces(kGpt2, absl::StrCat("a", bad)), ElementsAre("a", bad)) << absl::CHexEscape(bad);
  }
}

TEST(SplitterTest, EmptyTextAndNul) {
  for (const SplitPattern pattern : kAllSplitPatterns) {
    EXPECT_TRUE(Pieces(pattern, "").empty());
    EXPECT_THAT(Pieces(pattern, absl::string_view("1\0!", 3)), ElementsAre("1", std::string("\0!", 2)));
  }
}

TEST(SplitterTest, PatternNames) {
  for (const SplitPattern pattern : kAllSplitPatterns) {
    EXPECT_EQ(*ParseSplitPattern(SplitPatternName(pattern)), pattern);
  }
  EXPECT_THAT(std::string(ParseSplitPattern("gpt4").status().message()), testing::HasSubstr("qwen2, gpt2, llama3"));
}

TEST(UnicodeTablesTest, CountsOfUnicode16) {
  std::array<int, 4> counts{};
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c < 0xD800 || c > 0xDFFF) ++counts[static_cast<int>(ClassOf(c))];
  }
  EXPECT_EQ(counts[static_cast<int>(CharClass::kLetter)], 141028);
  EXPECT_EQ(counts[static_cast<int>(CharClass::kNumber)], 1911);
  EXPECT_EQ(counts[static_cast<int>(CharClass::kSpace)], 25);
}

// PCRE2 matches the pattern's text with our classes spelled out in place of its own, which are of another Unicode
// version: so the matching rules are tested, and the tables by their counts and by the checks against tokenizers.
class Oracle {
 public:
  explicit Oracle(SplitPattern pattern) {
    const std::string letters = Ranges(CharClass::kLetter), numbers = Ranges(CharClass::kNumber),
                      spaces = Ranges(CharClass::kSpace);
    std::string text(SplitPatternRegex(pattern));
    // First inside brackets, where a range list stands without its own.
    text = absl::StrReplaceAll(text, {{R"([^\s\p{L}\p{N}])", "[^" + spaces + letters + numbers + "]"},
                                      {R"([^\r\n\p{L}\p{N}])", R"([^\r\n)" + letters + numbers + "]"},
                                      {R"([^\s\p{N}])", "[^" + spaces + numbers + "]"}});
    text = absl::StrReplaceAll(text, {{R"(\p{L})", "[" + letters + "]"},
                                      {R"(\p{N})", "[" + numbers + "]"},
                                      {R"(\s)", "[" + spaces + "]"},
                                      {R"(\S)", "[^" + spaces + "]"}});
    int error = 0;
    size_t offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &error,
                          &offset, nullptr);
    INGOT_CHECK(code_ != nullptr, "PCRE2 error %d at %zu", error, offset);
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
    match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~Oracle() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  std::vector<std::string> Pieces(const std::string& text) const {
    std::vector<std::string> pieces;
    for (size_t begin = 0; begin < text.size();) {
      const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin,
                                    PCRE2_ANCHORED, match_, nullptr);
      INGOT_CHECK(found > 0, "PCRE2 match error %d", found);
      const size_t end = pcre2_get_ovector_pointer(match_)[1];
      pieces.push_back(text.substr(begin, end - begin));
      begin = end;
    }
    return pieces;
  }

 private:
  static std::string Ranges(CharClass type) {
    std::string ranges;
    for (uint32_t c = 0; c < 0x110000; ++c) {
      if (ClassOf(c) != type) continue;
      const uint32_t first = c;
      while (ClassOf(c + 1) == type) ++c;
      ranges += absl::StrFormat("\\x{%x}-\\x{%x}", first, c);
    }
    return ranges;
  }

  pcre2_code* code_;
  pcre2_match_data* match_;
};

class SplitterByPatternTest : public testing::TestWithParam<SplitPattern> {};

TEST_P(SplitterByPatternTest, EqualsPcre2OnFuzzedStrings) {
  const Oracle oracle(GetParam());
  StringFuzzer fuzzer(11);
  for (int i = 0; i < 10000; ++i) {
    const std::string text = fuzzer.Next(/*break_bytes=*/false);
    ASSERT_EQ(Pieces(GetParam(), text), oracle.Pieces(text)) << absl::CHexEscape(text);
  }
}

// Short runs of few characters, nearly all of ASCII: every class next to every other at every place of a window of 64
// bytes (tokenizer/ascii_window.h), and the windows' ends.
TEST_P(SplitterByPatternTest, EqualsPcre2OnDenseAscii) {
  const Oracle oracle(GetParam());
  const std::string alphabet[] = {"a", "S", "t",  " ",  " ",  "7",    "8",      ".",
                                  "(", "'", "\n", "\r", "\t", "\x01", "\u3000", "\u00e9"};
  std::mt19937 random(13);
  for (int i = 0; i < 4000; ++i) {
    const size_t used = i % 2 == 0 ? 14 : std::size(alphabet);
    std::string text;
    for (auto characters = random() % 300; characters > 0;) {
      const std::string& character = alphabet[random() % used];
      for (auto run = random() % 4 == 0 ? random() % 6 : 1; run > 0 && characters > 0; --run, --characters)
        text += character;
    }
    ASSERT_EQ(Pieces(GetParam(), text), oracle.Pieces(text)) << absl::CHexEscape(text);
  }
}

TEST_P(SplitterByPatternTest, CoversAnyBytesWhateverTheBatch) {
  StringFuzzer fuzzer(12);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = fuzzer.Next(/*break_bytes=*/true);
    const std::vector<std::string> pieces = Pieces(GetParam(), text, 1);
    std::string joined;
    for (const std::string& piece : pieces) joined += piece;
    ASSERT_EQ(joined, text);
    ASSERT_EQ(Pieces(GetParam(), text, 64), pieces);
  }
}

TEST_P(SplitterByPatternTest, SafeCutsDoNotChangePieces) {
  StringFuzzer fuzzer(13);
  int inner = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = fuzzer.Next(/*break_bytes=*/true) + fuzzer.Next(true);
    const size_t cut = SafeCut(text, fuzzer.Below(text.size() + 1));
    ASSERT_LE(cut, text.size());
    if (cut < text.size()) ++inner;
    std::vector<std::string> parts = Pieces(GetParam(), text.substr(0, cut));
    for (const std::string& piece : Pieces(GetParam(), text.substr(cut))) parts.push_back(piece);
    ASSERT_EQ(parts, Pieces(GetParam(), text)) << absl::CHexEscape(text) << " cut at " << cut;
  }
  EXPECT_GT(inner, 1000);
}

TEST_P(SplitterByPatternTest, LinearOnHostileText) {
  constexpr size_t kSize = 2'000'000;
  for (const char* unit : {"a", " ", "\n", "!", "1", "\xE4\xB8\xAD", "'", " \n"}) {
    std::string text;
    while (text.size() < kSize) text += unit;
    size_t bytes = 0;
    for (const std::string& piece : Pieces(GetParam(), text, 256)) bytes += piece.size();
    EXPECT_EQ(bytes, text.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, SplitterByPatternTest, testing::ValuesIn(kAllSplitPatterns),
                         [](const auto& test) { return std::string(SplitPatternName(test.param)); });

}  // namespace
}  // namespace ingot
