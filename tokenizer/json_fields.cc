#include "tokenizer/json_fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace ingot {

using nlohmann::json;

std::string Shown(const json& value) {
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

absl::Status FieldError(absl::string_view field, const json& found, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", Shown(found), ", expected ", expected));
}

absl::Status CheckKeys(const json& object, absl::string_view field, std::initializer_list<absl::string_view> known) {
  if (!object.is_object()) return FieldError(field, object, "an object");
  for (const auto& [key, value] : object.items()) {
    const absl::string_view name = key;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(field, ".", key, " is not supported"));
  }
  return absl::OkStatus();
}

absl::Status CheckField(const json& object, absl::string_view field, const char* key, const json& wanted,
                        bool may_lack) {
  const auto found = object.find(key);
  if (found == object.end()) {
    if (may_lack) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(field, ".", key, " is missing, expected ", Shown(wanted)));
  }
  // Types too: to the library, false and 0 are not equal, but 1 and 1.0 are.
  if (*found == wanted && found->type() == wanted.type()) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".", key), *found, Shown(wanted));
}

}  // namespace ingot
