#include "core/base/json.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string Problem(const std::string& text) {
  const absl::StatusOr<nlohmann::json> parsed = ParseJson(text, "file.json");
  return parsed.ok() ? "" : std::string(parsed.status().message());
}

std::string Nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonTest, ParsesWhatIsJson) {
  EXPECT_EQ(*ParseJson(R"({"a": [1, -2.5, "x\u00e9", null, true]})", "f"),
            (nlohmann::json{{"a", {1, -2.5, "x\xC3\xA9", nullptr, true}}}));
  EXPECT_EQ(*ParseJson(" 3 ", "f"), 3);
}

TEST(JsonTest, KeepsTheOrderOfKeysWhereAsked) {
  EXPECT_EQ(ParseOrderedJson(R"({"b": 1, "a": 2})", "f")->dump(), R"({"b":1,"a":2})");
  EXPECT_EQ(ParseJson(R"({"b": 1, "a": 2})", "f")->dump(), R"({"a":2,"b":1})");
}

TEST(JsonTest, RefusesAKeyTwiceInOneObject) {
  EXPECT_THAT(Problem(R"({"a": 1, "b": {"c": 1}, "a": 2})"), AllOf(HasSubstr("file.json"), HasSubstr("\"a\"")));
  EXPECT_THAT(Problem(R"([{"x": {"c": 1, "c": 1}}])"), HasSubstr("twice"));
  EXPECT_THAT(Problem(R"({"a": 1, "\u0061": 2})"), HasSubstr("twice"));
  EXPECT_EQ(Problem(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})"), "");
  EXPECT_FALSE(ParseOrderedJson(R"({"a": 1, "a": 2})", "f").ok());
}

TEST(JsonTest, RefusesDepth) {
  EXPECT_EQ(Problem(Nested(64)), "");
  EXPECT_THAT(Problem(Nested(65)), HasSubstr("deeper than 64"));
  EXPECT_THAT(Problem(std::string(10'000'000, '[')), HasSubstr("deeper than 64"));
  EXPECT_EQ(Problem('"' + std::string(100, '[') + "\\\"" + std::string(100, '{') + '"'), "");
}

TEST(JsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":}", "nul", "1 2", "'a'", "{\"a\" 1}", "[1", "\"open", "NaN",
                           "\xEF\xBB", "\"\xFF\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\\ud800\"", "]", "}{"}) {
    EXPECT_THAT(Problem(text), HasSubstr("file.json")) << text;
  }
  EXPECT_THAT(Problem("{\n  \"a\": ?\n}"), HasSubstr("line 2"));
  EXPECT_THAT(Problem(std::string("1\0", 2)), HasSubstr("file.json"));
}

TEST(JsonTest, NumbersBeyondTheirTypes) {
  EXPECT_THAT(Problem("1e999"), HasSubstr("file.json"));
  EXPECT_EQ(ParseJson("18446744073709551615", "f")->get<uint64_t>(), 18446744073709551615u);
  EXPECT_TRUE(ParseJson("18446744073709551616", "f")->is_number_float());
}

}  // namespace
}  // namespace ingot
