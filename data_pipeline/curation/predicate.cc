#include "data_pipeline/curation/predicate.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr const char* kTypes[] = {"a number", "true or false", "a string"};  // by index in ColumnValue

ColumnValue ParseValue(absl::string_view text) {
  const auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_number()) return json.get<double>();
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return json.get<std::string>();
  return std::string(text);
}

// The alternatives of `text`, cut at each | outside of quotes.
std::vector<std::string> Alternatives(absl::string_view text) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escaped = quoted && text[i] == '\\' && i + 1 < text.size();
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '|' && !quoted) {
      parts.emplace_back();
      continue;
    }
    parts.back() += text[i];
    if (escaped) parts.back() += text[++i];
  }
  return parts;
}

}  // namespace

absl::StatusOr<Predicate> Predicate::Parse(absl::string_view text) {
  const auto bad = [&](absl::string_view found) {
    return absl::InvalidArgumentError(absl::StrCat("predicate '", text, "': ", found,
                                                   "; expected a column, one of = != < <= > >=, and a value, as in "
                                                   "'score>=3' or 'language=en|de'"));
  };
  Predicate predicate;
  predicate.text_ = std::string(text);
  const size_t at = text.find_first_of("=!<>");
  if (at == absl::string_view::npos) return bad("no operator");
  for (absl::string_view name : absl::StrSplit(absl::StripAsciiWhitespace(text.substr(0, at)), '.')) {
    if (name.empty()) return bad("an empty name of a column");
    predicate.path_.emplace_back(name);
  }
  constexpr std::array<absl::string_view, 6> kOperators = {"=", "!=", "<", "<=", ">", ">="};
  const size_t end = std::min(text.find_first_not_of("=!<>", at), text.size());
  const auto found = std::find(kOperators.begin(), kOperators.end(), text.substr(at, end - at));
  if (found == kOperators.end()) return bad(absl::StrCat("the operator '", text.substr(at, end - at), "'"));
  predicate.operator_ = static_cast<Operator>(found - kOperators.begin());
  for (const std::string& part : Alternatives(text.substr(end))) {
    const absl::string_view value = absl::StripAsciiWhitespace(part);
    if (value.empty()) return bad("no value (an empty string is \"\")");
    predicate.values_.push_back(ParseValue(value));
    if (predicate.values_.back().index() != predicate.values_[0].index()) return bad("values of different types");
  }
  const bool ordered = predicate.operator_ != Operator::kEqual && predicate.operator_ != Operator::kNotEqual;
  if (ordered && (predicate.values_.size() > 1 || predicate.values_[0].index() != 0)) {
    return bad("an order of something other than one number");
  }
  return predicate;
}

absl::StatusOr<bool> Predicate::Holds(const ColumnValue& column) const {
  if (column.index() != values_[0].index()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text_, "' wants ", kTypes[values_[0].index()], ", found ", kTypes[column.index()]));
  }
  const bool equals = std::find(values_.begin(), values_.end(), column) != values_.end();
  if (operator_ == Operator::kEqual) return equals;
  if (operator_ == Operator::kNotEqual) return !equals;
  const double number = std::get<double>(column), limit = std::get<double>(values_[0]);
  switch (operator_) {
    case Operator::kLess:
      return number < limit;
    case Operator::kLessEqual:
      return number <= limit;
    case Operator::kGreater:
      return number > limit;
    default:
      return number >= limit;
  }
}

absl::StatusOr<std::vector<Predicate>> ParsePredicates(const std::vector<std::string>& texts) {
  std::vector<Predicate> predicates;
  for (const std::string& text : texts) {
    INGOT_ASSIGN_OR_RETURN(Predicate predicate, Predicate::Parse(text));
    predicates.push_back(std::move(predicate));
  }
  return predicates;
}

}  // namespace ingot
