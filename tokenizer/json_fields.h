#pragma once
// Checks of JSON values whose every field must be known. Include it in .cc files only.
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace ingot {

// `value` as an error shows it: at most 80 bytes of it.
inline std::string Shown(const nlohmann::json& value) {
  const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

inline absl::Status FieldError(absl::string_view field, const nlohmann::json& found, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", Shown(found), ", expected ", expected));
}

// An object without keys other than `known`.
inline absl::Status CheckKeys(const nlohmann::json& object, absl::string_view field,
                              std::initializer_list<absl::string_view> known) {
  if (!object.is_object()) return FieldError(field, object, "an object");
  for (const auto& [key, value] : object.items()) {
    bool is_known = false;
    for (const absl::string_view name : known) is_known |= name == key;
    if (!is_known) return absl::InvalidArgumentError(absl::StrCat(field, ".", key, " is not supported"));
  }
  return absl::OkStatus();
}

// object[key] is `wanted`, or absent where `may_lack`.
inline absl::Status CheckField(const nlohmann::json& object, absl::string_view field, const char* key,
                               const nlohmann::json& wanted, bool may_lack = false) {
  const auto found = object.find(key);
  if (found == object.end()) {
    if (may_lack) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(field, ".", key, " is missing, expected ", Shown(wanted)));
  }
  if (*found == wanted && found->type() == wanted.type()) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".", key), *found, absl::StrCat("supported: ", Shown(wanted)));
}

}  // namespace ingot
