#pragma once
// The field `post_processor` of tokenizer.json: ByteLevel, which moves offsets only, a template of special tokens around
// documents, or both one after the other.
#include <nlohmann/json_fwd.hpp>

#include "absl/status/statusor.h"
#include "tokenizer/model.h"

namespace ingot {

nlohmann::ordered_json PostProcessorJson(const TokenizerModel& model);

// The template; empty parts if the field has none. `model` has its tokens and added tokens by now. Other kinds, and
// templates whose tokens are not the vocabulary's, are errors that name the field.
absl::StatusOr<SequenceTemplate> ParsePostProcessor(const nlohmann::json& field, const TokenizerModel& model);

}  // namespace ingot
