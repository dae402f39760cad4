// Reading tokenizer.json: exactly the shapes that our encoder equals, all else refused by field.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "tokenizer/bytes.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/hf_patterns.h"
#include "tokenizer/hf_post_processor.h"
#include "tokenizer/json_fields.h"

namespace ingot {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;  // vocabularies of 10^6 tokens take about 64 MB
constexpr size_t kMaxTokens = size_t{1} << 24;

using IdOfKey = absl::flat_hash_map<std::string, int32_t>;

struct SpelledToken {
  AddedToken token;
  std::string spelling;
};

absl::Status CheckTopLevel(const json& file) {
  INGOT_RETURN_IF_ERROR(CheckKeys(file, "top level",
                                  {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                                   "post_processor", "decoder", "model"}));
  const std::string top = "top level";
  INGOT_RETURN_IF_ERROR(CheckField(file, top, "version", "1.0"));
  for (const char* key : {"truncation", "padding"}) {
    INGOT_RETURN_IF_ERROR(CheckField(file, top, key, nullptr, /*may_lack=*/true));
  }
  const json decoder = file.value("decoder", json());
  INGOT_RETURN_IF_ERROR(CheckKeys(decoder, "decoder", {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  return CheckField(decoder, "decoder", "type", "ByteLevel");
}

absl::Status CheckModelOptions(const json& model) {
  INGOT_RETURN_IF_ERROR(CheckKeys(model, "model",
                                  {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                                   "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"}));
  INGOT_RETURN_IF_ERROR(CheckField(model, "model", "type", "BPE", /*may_lack=*/true));
  INGOT_RETURN_IF_ERROR(CheckField(model, "model", "dropout", nullptr, /*may_lack=*/true));
  INGOT_RETURN_IF_ERROR(CheckField(model, "model", "byte_fallback", false, /*may_lack=*/true));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.value(key, json()) == "") continue;  // the same as null
    INGOT_RETURN_IF_ERROR(CheckField(model, "model", key, nullptr, /*may_lack=*/true));
  }
  const json ignore_merges = model.value("ignore_merges", json(false));
  if (!ignore_merges.is_boolean()) return FieldError("model.ignore_merges", ignore_merges, "true or false");
  return absl::OkStatus();
}

// NFC or nothing; `tokenizers` also takes a Sequence of that one.
absl::StatusOr<bool> ParseNormalizer(const json& field) {
  if (field.is_null()) return false;
  if (field == json{{"type", "NFC"}}) return true;
  if (field == json{{"type", "Sequence"}, {"normalizers", json::array({{{"type", "NFC"}}})}}) return true;
  return FieldError("normalizer", field, "null or NFC");
}

absl::StatusOr<SpelledToken> ParseAddedToken(const json& token, const std::string& field) {
  INGOT_RETURN_IF_ERROR(
      CheckKeys(token, field, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
  AddedToken parsed;
  parsed.special = false;
  const std::pair<const char*, bool*> flags[] = {{"single_word", &parsed.single_word},
                                                 {"lstrip", &parsed.lstrip},
                                                 {"rstrip", &parsed.rstrip},
                                                 {"normalized", &parsed.normalized},
                                                 {"special", &parsed.special}};
  for (const auto& [key, flag] : flags) {
    const json value = token.value(key, json(false));
    if (!value.is_boolean()) return FieldError(absl::StrCat(field, ".", key), value, "true or false");
    *flag = value.get<bool>();
  }
  const json id = token.value("id", json());
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens) return FieldError(field + ".id", id, "an id");
  parsed.id = static_cast<int32_t>(id.get<uint64_t>());
  const json content = token.value("content", json());
  if (!content.is_string() || content == "") return FieldError(field + ".content", content, "a spelling");
  return SpelledToken{parsed, content.get<std::string>()};
}

absl::StatusOr<std::vector<SpelledToken>> ParseAddedTokens(const json& field) {
  std::vector<SpelledToken> tokens;
  if (field.is_null()) return tokens;
  if (!field.is_array()) return FieldError("added_tokens", field, "an array");
  for (size_t i = 0; i < field.size(); ++i) {
    INGOT_ASSIGN_OR_RETURN(SpelledToken token, ParseAddedToken(field[i], absl::StrCat("added_tokens[", i, "]")));
    tokens.push_back(std::move(token));
  }
  std::stable_sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
  return tokens;
}

// Fills tokens with the keys as they stand in the file; bytes come later, when special ones are known.
absl::Status ParseVocabulary(const json& vocabulary, std::vector<std::string>& tokens, IdOfKey& id_of) {
  if (!vocabulary.is_object()) return FieldError("model.vocab", vocabulary, "an object of token to id");
  tokens.resize(vocabulary.size());
  std::vector<bool> seen(vocabulary.size());
  id_of.reserve(vocabulary.size());
  for (const auto& [key, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size()) {
      return FieldError(absl::StrCat("model.vocab[", Shown(key), "]"), id,
                        absl::StrCat("an id below the number of tokens, ", tokens.size(), ": ids have no holes"));
    }
    const auto value = static_cast<int32_t>(id.get<uint64_t>());
    if (seen[value]) return absl::InvalidArgumentError(absl::StrCat("model.vocab: id ", value, " occurs twice"));
    seen[value] = true;
    tokens[value] = key;
    id_of.emplace(key, value);
  }
  return absl::OkStatus();
}

// `tokenizers` gives a token that the vocabulary lacks the next free id, whatever the file says: then they must agree.
absl::Status PlaceAddedTokens(const std::vector<SpelledToken>& added, const IdOfKey& id_of, TokenizerModel& model) {
  for (const SpelledToken& spelled : added) {
    const auto found = id_of.find(spelled.spelling);
    const bool in_vocabulary = found != id_of.end();
    const int64_t id = in_vocabulary ? found->second : static_cast<int64_t>(model.tokens.size());
    if (id != spelled.token.id) {
      return absl::InvalidArgumentError(absl::StrCat("added_tokens: ", Shown(spelled.spelling), " has id ",
                                                     spelled.token.id, " where the vocabulary gives it ", id));
    }
    if (!in_vocabulary) model.tokens.push_back(spelled.spelling);
    model.added.push_back(spelled.token);
    model.added.back().in_vocabulary = in_vocabulary;
  }
  return absl::OkStatus();
}

absl::Status UnspellTokens(TokenizerModel& model) {
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    if (FindAdded(model, static_cast<int64_t>(id)) != nullptr) continue;
    std::string bytes;
    if (!UnspellBytes(model.tokens[id], bytes)) {
      return absl::InvalidArgumentError(absl::StrCat("model.vocab: ", Shown(model.tokens[id]), " (id ", id,
                                                     ") is neither of the byte alphabet nor an added token"));
    }
    model.tokens[id] = std::move(bytes);
  }
  return absl::OkStatus();
}

// ["a", "b"] or the legacy "a b".
absl::Status SplitMerge(const json& merge, const std::string& field, std::string& left, std::string& right) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    left = merge[0].get<std::string>();
    right = merge[1].get<std::string>();
    return absl::OkStatus();
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t blank = text.find(' ');
    if (blank != std::string::npos && text.find(' ', blank + 1) == std::string::npos) {
      left = text.substr(0, blank);
      right = text.substr(blank + 1);
      return absl::OkStatus();
    }
  }
  return FieldError(field, merge, "a pair of tokens");
}

absl::Status ParseMerges(const json& merges, const IdOfKey& id_of, TokenizerModel& model) {
  if (!merges.is_array()) return FieldError("model.merges", merges, "an array");
  std::string left, right;
  for (size_t i = 0; i < merges.size(); ++i) {
    const json& merge = merges[i];
    if (merge.is_string() && merge.get_ref<const std::string&>().rfind("#version", 0) == 0) continue;
    const std::string field = absl::StrCat("model.merges[", i, "]");
    INGOT_RETURN_IF_ERROR(SplitMerge(merge, field, left, right));
    int32_t ids[3];
    int n = 0;
    for (const std::string& key : {left, right, left + right}) {
      const auto found = id_of.find(key);
      if (found == id_of.end()) {
        return absl::InvalidArgumentError(absl::StrCat(field, ": ", Shown(key), " is not in model.vocab"));
      }
      ids[n++] = found->second;
    }
    model.merges.push_back({ids[0], ids[1], ids[2]});
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenizerModel> BuildModel(const json& file) {
  INGOT_RETURN_IF_ERROR(CheckTopLevel(file));
  TokenizerModel model;
  INGOT_ASSIGN_OR_RETURN(model.pattern, ParsePreTokenizer(file.value("pre_tokenizer", json())));
  INGOT_ASSIGN_OR_RETURN(model.nfc, ParseNormalizer(file.value("normalizer", json())));
  INGOT_ASSIGN_OR_RETURN(const std::vector<SpelledToken> added, ParseAddedTokens(file.value("added_tokens", json())));
  const auto found = file.find("model");
  if (found == file.end()) return absl::InvalidArgumentError("model is missing");
  INGOT_RETURN_IF_ERROR(CheckModelOptions(*found));
  model.whole_piece_first = found->value("ignore_merges", false);
  for (const char* key : {"vocab", "merges"}) {
    if (!found->contains(key)) return absl::InvalidArgumentError(absl::StrCat("model.", key, " is missing"));
  }
  IdOfKey id_of;
  INGOT_RETURN_IF_ERROR(ParseVocabulary((*found)["vocab"], model.tokens, id_of));
  INGOT_RETURN_IF_ERROR(PlaceAddedTokens(added, id_of, model));
  INGOT_RETURN_IF_ERROR(UnspellTokens(model));
  INGOT_RETURN_IF_ERROR(ParseMerges((*found)["merges"], id_of, model));
  INGOT_ASSIGN_OR_RETURN(model.around, ParsePostProcessor(file.value("post_processor", json()), model));
  INGOT_RETURN_IF_ERROR(Validate(model));
  return model;
}

}  // namespace

absl::StatusOr<TokenizerModel> ParseTokenizerJson(absl::string_view text, absl::string_view what) {
  INGOT_ASSIGN_OR_RETURN(const json file, ParseJson(text, what));
  absl::StatusOr<TokenizerModel> model = BuildModel(file);
  if (!model.ok()) return Annotate(model.status(), absl::StrCat(what, ": "));
  return model;
}

absl::StatusOr<TokenizerModel> ReadTokenizerJson(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ParseTokenizerJson(text, path);
}

}  // namespace ingot
