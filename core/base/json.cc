#include "core/base/json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

constexpr int kMaxDepth = 64;

// Follows the parser and notes what it would accept but we do not.
template <typename Json>
class Guard {
 public:
  bool operator()(int depth, typename Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= kMaxDepth) problem_ = absl::StrCat("nested deeper than ", kMaxDepth);
        keys_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        keys_.pop_back();
        break;
      case Json::parse_event_t::key: {
        const auto& key = parsed.template get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) problem_ = absl::StrCat("key \"", key, "\" occurs twice in one object");
        break;
      }
      case Json::parse_event_t::value:
        break;
    }
    return true;
  }
  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::unordered_set<std::string>> keys_;
  std::string problem_;
};

// The parser itself recurses for nothing, but destroying a deep value does: refuse depth before parsing.
bool TooDeep(absl::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

template <typename Json>
absl::StatusOr<Json> Parse(absl::string_view text, absl::string_view what) {
  if (TooDeep(text)) return absl::InvalidArgumentError(absl::StrCat(what, ": JSON nested deeper than ", kMaxDepth));
  if (text.find('\0') != absl::string_view::npos) {  // the parser takes it for the end of the text
    return absl::InvalidArgumentError(absl::StrCat(what, ": not valid JSON: it contains a zero byte"));
  }
  Guard<Json> guard;
  try {  // nlohmann-json reports by exception; it ends here
    Json value = Json::parse(text.begin(), text.end(), std::ref(guard));
    if (!guard.problem().empty()) return absl::InvalidArgumentError(absl::StrCat(what, ": ", guard.problem()));
    return value;
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not valid JSON: ", error.what()));
  }
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, absl::string_view what) {
  return Parse<nlohmann::json>(text, what);
}

absl::StatusOr<nlohmann::ordered_json> ParseOrderedJson(absl::string_view text, absl::string_view what) {
  return Parse<nlohmann::ordered_json>(text, what);
}

}  // namespace ingot
