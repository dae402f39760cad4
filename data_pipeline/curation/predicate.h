#pragma once
// Predicates on the columns of a document: what datatrove, dolma and the like wrote beside its text.
//   predicate := path operator value ("|" value)*
//   path      := the name of a field; names joined by "." lead into nested objects
//   operator  := "=" | "!=" | "<" | "<=" | ">" | ">="
//   value     := a JSON number, true, false, a JSON string in quotes, or any other text, which is a string
// "=" holds if the column equals one of the values, "!=" if it equals none; the others take one number. A document that
// lacks the column, or has null there, is left out by every predicate. Numbers are compared as doubles.
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

using ColumnValue = std::variant<double, bool, std::string>;

class Predicate {
 public:
  // An error says what is wrong with `text`.
  static absl::StatusOr<Predicate> Parse(absl::string_view text);

  const std::vector<std::string>& path() const { return path_; }
  const std::string& text() const { return text_; }
  // An error if the column is of another type than the values.
  absl::StatusOr<bool> Holds(const ColumnValue& column) const;

 private:
  enum class Operator { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

  std::string text_;
  std::vector<std::string> path_;
  Operator operator_ = Operator::kEqual;
  std::vector<ColumnValue> values_;  // of one type
};

absl::StatusOr<std::vector<Predicate>> ParsePredicates(const std::vector<std::string>& texts);

}  // namespace ingot
