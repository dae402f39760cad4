#include "tokenizer/hf_patterns.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tokenizer/json_fields.h"

namespace ingot {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kField[] = "pre_tokenizer";

ordered_json ByteLevelJson(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", use_regex}};
}

ordered_json FirstStepJson(SplitPattern pattern) {
  if (pattern == SplitPattern::kDigits) return {{"type", "Digits"}, {"individual_digits", true}};
  return {{"type", "Split"},
          {"pattern", {{"Regex", std::string(SplitPatternRegex(pattern))}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

absl::Status CheckByteLevel(const json& step, absl::string_view field, bool use_regex) {
  INGOT_RETURN_IF_ERROR(CheckKeys(step, field, {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  INGOT_RETURN_IF_ERROR(CheckField(step, field, "type", "ByteLevel"));
  INGOT_RETURN_IF_ERROR(CheckField(step, field, "add_prefix_space", false));
  return CheckField(step, field, "use_regex", use_regex, /*may_lack=*/use_regex);  // its default is true
}

absl::StatusOr<SplitPattern> ParseSplit(const json& step, absl::string_view field) {
  INGOT_RETURN_IF_ERROR(CheckKeys(step, field, {"type", "pattern", "behavior", "invert"}));
  INGOT_RETURN_IF_ERROR(CheckField(step, field, "behavior", "Isolated"));
  INGOT_RETURN_IF_ERROR(CheckField(step, field, "invert", false));
  for (const SplitPattern pattern : kAllSplitPatterns) {
    const std::string regex(SplitPatternRegex(pattern));
    if (step.contains("pattern") && step["pattern"] == json{{"Regex", regex}}) return pattern;
  }
  return FieldError(absl::StrCat(field, ".pattern"), step.value("pattern", json()),
                    "the regular expression of qwen2, gpt2, llama3 or digits");
}

absl::StatusOr<SplitPattern> ParseSequence(const json& field) {
  INGOT_RETURN_IF_ERROR(CheckKeys(field, kField, {"type", "pretokenizers"}));
  const json steps = field.value("pretokenizers", json());
  const std::string name = absl::StrCat(kField, ".pretokenizers");
  if (!steps.is_array() || steps.size() != 2 || !steps[0].is_object()) {
    return FieldError(name, steps, "two: Split or Digits, then ByteLevel");
  }
  const bool has_digits = steps[0].value("type", json()) == "Digits";
  INGOT_RETURN_IF_ERROR(CheckByteLevel(steps[1], absl::StrCat(name, "[1]"), /*use_regex=*/has_digits));
  const std::string first = absl::StrCat(name, "[0]");
  if (has_digits) {
    INGOT_RETURN_IF_ERROR(CheckKeys(steps[0], first, {"type", "individual_digits"}));
    INGOT_RETURN_IF_ERROR(CheckField(steps[0], first, "individual_digits", true));
    return SplitPattern::kDigits;
  }
  INGOT_RETURN_IF_ERROR(CheckField(steps[0], first, "type", "Split"));
  return ParseSplit(steps[0], first);
}

}  // namespace

absl::string_view SplitPatternRegex(SplitPattern pattern) {
  switch (pattern) {
    case SplitPattern::kQwen2:
      return R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
    case SplitPattern::kGpt2:
      return R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re";
    case SplitPattern::kLlama3:
      return R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
    case SplitPattern::kDigits:
      return R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+)re";
  }
  return "";
}

ordered_json PreTokenizerJson(SplitPattern pattern) {
  if (pattern == SplitPattern::kGpt2) return ByteLevelJson(true);
  return {{"type", "Sequence"},
          {"pretokenizers",
           ordered_json::array({FirstStepJson(pattern), ByteLevelJson(pattern == SplitPattern::kDigits)})}};
}

absl::StatusOr<SplitPattern> ParsePreTokenizer(const json& field) {
  if (!field.is_object()) return FieldError(kField, field, "an object: ByteLevel, or a Sequence that ends with it");
  const json type = field.value("type", json());
  if (type == "ByteLevel") {
    INGOT_RETURN_IF_ERROR(CheckByteLevel(field, kField, /*use_regex=*/true));
    return SplitPattern::kGpt2;
  }
  if (type == "Sequence") return ParseSequence(field);
  return FieldError(absl::StrCat(kField, ".type"), type, "ByteLevel or Sequence");
}

}  // namespace ingot
