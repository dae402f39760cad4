#include "tokenizer/normalization.h"

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/escaping.h"
#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

std::string Nfc(absl::string_view text) {
  std::string scratch;
  return std::string(NormalizeNfc(text, scratch));
}

// Values of Unicode Standard Annex 15 and of tokenizers' NFC.
TEST(NormalizationTest, KnownValues) {
  const struct {
    const char *text, *nfc;
  } kCases[] = {
      {"", ""},
      {"plain ASCII, longer than one block of sixteen", "plain ASCII, longer than one block of sixteen"},
      {"e\u0301", "\u00E9"},
      {"abcdefghijklmnope\u0301", "abcdefghijklmnop\u00E9"},  // the letter is the last of a block
      {"\u212B", "\u00C5"},                                   // a singleton
      {"\uF900", "\u8C48"},
      {"\u0344", "\u0308\u0301"},
      {"\u0958", "\u0915\u093C"},        // excluded from composition
      {"\u1112\u1161\u11AB", "\uD55C"},  // jamo
      {"\uD558\u11AB", "\uD55C"},
      {"\u1112\u1161\u11A7", "\uD558\u11A7"},  // no tail
      {"D\u0307\u0323", "\u1E0C\u0307"},       // marks into order, then joined
      {"\u1E0A\u0323", "\u1E0C\u0307"},
      {"q\u0307\u0323", "q\u0323\u0307"},
      {"a\u0315\u0300\u05AE\u0062", "\u00E0\u05AE\u0315b"},
      {"\u0301e", "\u0301e"},  // nothing stands before the mark
      {"x\u0328\u0301\u0301", "x\u0328\u0301\u0301"},
      {"\U000110A5\U000110BA", "\U000110AB"},
      {"\u0CC6\u0CC2\u0CD5", "\u0CCB"},  // two steps
  };
  for (const auto& c : kCases) EXPECT_EQ(Nfc(c.text), c.nfc) << absl::CHexEscape(c.text);
}

TEST(NormalizationTest, BrokenBytesStayAndJoinNothing) {
  EXPECT_EQ(Nfc("\xFF\xCC\x81 e\xCC\x81\xCC"), "\xFF\xCC\x81 \xC3\xA9\xCC");
  EXPECT_EQ(Nfc("e\x80\xCC\x81"), "e\x80\xCC\x81");
  EXPECT_EQ(Nfc("\xED\xA0\x80\xCC\x81"), "\xED\xA0\x80\xCC\x81");
}

TEST(NormalizationTest, TwiceIsOnceAndCutsAreSafe) {
  StringFuzzer fuzzer(8);
  std::mt19937 random(9);
  const char* const kMore[] = {"\u0301", "\u0323", "e",      "\u1112", "\u1161", "\u11AB", "\u0344", "\uAC00",
                               "\u09C7", "\u09BE", "\u0F71", "\u0F72", "\u3099", "\u304B", "\u212B"};
  for (int i = 0; i < 3000; ++i) {
    std::string text = fuzzer.Next(/*break_bytes=*/i % 2 == 0);
    for (int n = static_cast<int>(random() % 8); n > 0; --n) text += kMore[random() % std::size(kMore)];
    const std::string once = Nfc(text);
    ASSERT_EQ(Nfc(once), once) << absl::CHexEscape(text);
    const size_t cut = SafeCut(text, random() % (text.size() + 1));
    ASSERT_EQ(Nfc(text.substr(0, cut)) + Nfc(text.substr(cut)), once) << absl::CHexEscape(text);
  }
}

TEST(NormalizationTest, LongRunsOfMarksEnd) {
  std::string marks = "a";
  for (int i = 0; i < 200'000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0323";
  const std::string nfc = Nfc(marks);
  EXPECT_EQ(nfc.substr(0, 5), "\u1EA1\u0323");
}

TEST(WordCharacterTest, KnownValues) {
  for (const uint32_t c : {uint32_t{'a'}, uint32_t{'_'}, uint32_t{'0'}, 0x4E2Du, 0x0301u, 0x200Du, 0x2160u}) {
    EXPECT_TRUE(IsWordCharacter(c)) << c;
  }
  for (const uint32_t c : {uint32_t{' '}, uint32_t{'-'}, 0u, 0xB2u, 0x3001u, 0x1F600u, 0xFFFFFFFFu}) {
    EXPECT_FALSE(IsWordCharacter(c)) << c;
  }
}

}  // namespace
}  // namespace ingot
