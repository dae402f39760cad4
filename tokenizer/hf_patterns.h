#pragma once
// How each split pattern stands in tokenizer.json.
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tokenizer/splitter.h"

namespace ingot {

// The pattern as one regular expression; of digits, which is written otherwise, one of the same effect.
absl::string_view SplitPatternRegex(SplitPattern pattern);

// The field `pre_tokenizer`.
nlohmann::ordered_json PreTokenizerJson(SplitPattern pattern);

// The inverse. Takes other spellings of the same: flags without effect, flags left out where `tokenizers` has the
// default. Anything else is an error that names the field.
absl::StatusOr<SplitPattern> ParsePreTokenizer(const nlohmann::json& field);

}  // namespace ingot
