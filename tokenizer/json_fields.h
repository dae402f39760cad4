#pragma once
// Checks of JSON values whose every field must be known.
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ingot {

// `value` as an error shows it: at most 80 bytes of it.
std::string Shown(const nlohmann::json& value);

// "FIELD is FOUND, expected EXPECTED".
absl::Status FieldError(absl::string_view field, const nlohmann::json& found, absl::string_view expected);

// An object without keys other than `known`.
absl::Status CheckKeys(const nlohmann::json& object, absl::string_view field,
                       std::initializer_list<absl::string_view> known);

// object[key] is `wanted`, or absent where `may_lack`.
absl::Status CheckField(const nlohmann::json& object, absl::string_view field, const char* key,
                        const nlohmann::json& wanted, bool may_lack = false);

}  // namespace ingot
