#include "tokenizer/hf_post_processor.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tokenizer/json_fields.h"

namespace ingot {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kField[] = "post_processor";

absl::Status CheckByteLevel(const json& step, absl::string_view field) {
  INGOT_RETURN_IF_ERROR(CheckKeys(step, field, {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  return CheckField(step, field, "type", "ByteLevel");
}

// The added token spelled `spelling`, -1 if there is none.
int32_t IdOf(const TokenizerModel& model, const json& spelling) {
  for (const AddedToken& token : model.added) {
    if (spelling == model.tokens[token.id]) return token.id;
  }
  return -1;
}

absl::StatusOr<TemplatePart> ParsePart(const json& part, const std::string& field, const TokenizerModel& model) {
  const bool is_token = part.is_object() && part.contains("SpecialToken");
  const char* const kind = is_token ? "SpecialToken" : "Sequence";
  INGOT_RETURN_IF_ERROR(CheckKeys(part, field, {kind}));
  const json value = part.value(kind, json());
  INGOT_RETURN_IF_ERROR(CheckKeys(value, field, {"id", "type_id"}));
  const json id = value.value("id", json()), type_id = value.value("type_id", json());
  if (!type_id.is_number_unsigned() || type_id.get<uint64_t>() > 1 << 20) {
    return FieldError(absl::StrCat(field, ".", kind, ".type_id"), type_id, "a small number");
  }
  TemplatePart parsed{.type_id = static_cast<int32_t>(type_id.get<uint64_t>())};
  if (is_token) {
    parsed.id = IdOf(model, id);
    if (parsed.id < 0) return FieldError(absl::StrCat(field, ".SpecialToken.id"), id, "one of added_tokens");
  } else {
    if (id != "A" && id != "B") return FieldError(absl::StrCat(field, ".Sequence.id"), id, "A or B");
    parsed.sequence = id == "A" ? 'A' : 'B';
  }
  return parsed;
}

absl::StatusOr<std::vector<TemplatePart>> ParseParts(const json& step, const char* key, const std::string& field,
                                                     const TokenizerModel& model) {
  const json parts = step.value(key, json());
  const std::string name = absl::StrCat(field, ".", key);
  if (!parts.is_array()) return FieldError(name, parts, "an array of SpecialToken and Sequence");
  std::vector<TemplatePart> parsed;
  for (size_t i = 0; i < parts.size(); ++i) {
    INGOT_ASSIGN_OR_RETURN(TemplatePart part, ParsePart(parts[i], absl::StrCat(name, "[", i, "]"), model));
    parsed.push_back(part);
  }
  return parsed;
}

// Every token of the template is one id, that of added_tokens.
absl::Status CheckTokens(const json& tokens, const std::string& field, const TokenizerModel& model) {
  if (!tokens.is_object()) return FieldError(field, tokens, "an object");
  for (const auto& [key, token] : tokens.items()) {
    const std::string name = absl::StrCat(field, "[", Shown(key), "]");
    INGOT_RETURN_IF_ERROR(CheckKeys(token, name, {"id", "ids", "tokens"}));
    INGOT_RETURN_IF_ERROR(CheckField(token, name, "id", key));
    const int32_t id = IdOf(model, key);
    const json ids = token.value("ids", json());
    if (id < 0 || ids != json::array({id})) {
      return FieldError(absl::StrCat(name, ".ids"), ids, "the one id that added_tokens gives this token");
    }
    INGOT_RETURN_IF_ERROR(CheckField(token, name, "tokens", json::array({key})));
  }
  return absl::OkStatus();
}

absl::StatusOr<SequenceTemplate> ParseTemplate(const json& step, const std::string& field,
                                               const TokenizerModel& model) {
  INGOT_RETURN_IF_ERROR(CheckKeys(step, field, {"type", "single", "pair", "special_tokens"}));
  INGOT_RETURN_IF_ERROR(CheckTokens(step.value("special_tokens", json()), field + ".special_tokens", model));
  SequenceTemplate around;
  INGOT_ASSIGN_OR_RETURN(around.single, ParseParts(step, "single", field, model));
  INGOT_ASSIGN_OR_RETURN(around.pair, ParseParts(step, "pair", field, model));
  const auto texts = std::count_if(around.single.begin(), around.single.end(),
                                   [](const TemplatePart& part) { return part.sequence == 'A'; });
  const auto others = std::count_if(around.single.begin(), around.single.end(),
                                    [](const TemplatePart& part) { return part.sequence == 'B'; });
  if (texts != 1 || others != 0) {
    return FieldError(field + ".single", step["single"], "a template that holds sequence A once");
  }
  return around;
}

ordered_json PartsJson(const std::vector<TemplatePart>& parts, const TokenizerModel& model) {
  ordered_json array = ordered_json::array();
  for (const TemplatePart& part : parts) {
    const bool is_token = part.id >= 0;
    array.push_back(
        {{is_token ? "SpecialToken" : "Sequence",
          {{"id", is_token ? model.tokens[part.id] : std::string(1, part.sequence)}, {"type_id", part.type_id}}}});
  }
  return array;
}

ordered_json TemplateJson(const TokenizerModel& model) {
  std::map<std::string, int32_t> tokens;  // `tokenizers` saves them in the order of their spellings
  for (const std::vector<TemplatePart>* parts : {&model.around.single, &model.around.pair}) {
    for (const TemplatePart& part : *parts) {
      if (part.id >= 0) tokens.emplace(model.tokens[part.id], part.id);
    }
  }
  ordered_json special = ordered_json::object();
  for (const auto& [spelling, id] : tokens) {
    special[spelling] = {
        {"id", spelling}, {"ids", ordered_json::array({id})}, {"tokens", ordered_json::array({spelling})}};
  }
  return {{"type", "TemplateProcessing"},
          {"single", PartsJson(model.around.single, model)},
          {"pair", PartsJson(model.around.pair, model)},
          {"special_tokens", std::move(special)}};
}

}  // namespace

// Trimmed offsets would take leading blanks out of assistant masks.
ordered_json PostProcessorJson(const TokenizerModel& model) {
  ordered_json offsets = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  if (model.around == SequenceTemplate{}) return offsets;
  return {{"type", "Sequence"}, {"processors", ordered_json::array({std::move(offsets), TemplateJson(model)})}};
}

absl::StatusOr<SequenceTemplate> ParsePostProcessor(const json& field, const TokenizerModel& model) {
  if (field.is_null()) return SequenceTemplate{};
  const json type = field.is_object() ? field.value("type", json()) : json();
  if (type == "TemplateProcessing") return ParseTemplate(field, kField, model);
  if (type != "Sequence") {
    if (type != "ByteLevel") return FieldError(absl::StrCat(kField, ".type"), type, "ByteLevel or TemplateProcessing");
    INGOT_RETURN_IF_ERROR(CheckByteLevel(field, kField));
    return SequenceTemplate{};
  }
  INGOT_RETURN_IF_ERROR(CheckKeys(field, kField, {"type", "processors"}));
  const json steps = field.value("processors", json());
  const std::string name = absl::StrCat(kField, ".processors");
  if (!steps.is_array() || steps.size() != 2) return FieldError(name, steps, "two: ByteLevel, then TemplateProcessing");
  INGOT_RETURN_IF_ERROR(CheckByteLevel(steps[0], name + "[0]"));
  INGOT_RETURN_IF_ERROR(CheckField(steps[1], name + "[1]", "type", "TemplateProcessing"));
  return ParseTemplate(steps[1], name + "[1]", model);
}

}  // namespace ingot
