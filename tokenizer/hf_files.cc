// Writing the files.
#include "tokenizer/hf_files.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "tokenizer/bytes.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/hf_patterns.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFiles[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                  "chat_template.jinja"};

ordered_json ByteLevelJson(bool value) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", value}, {"trim_offsets", value}, {"use_regex", value}};
}

std::string Quoted(const std::string& text) { return ordered_json(text).dump(); }

bool IsSpecial(const TokenizerModel& model, size_t id) {
  return std::binary_search(model.special_ids.begin(), model.special_ids.end(), id);
}

std::string Key(const TokenizerModel& model, size_t id) {
  return Quoted(IsSpecial(model, id) ? model.tokens[id] : SpellBytes(model.tokens[id]));
}

// All but the model. Trimmed offsets in the post-processor would take leading blanks out of assistant masks.
ordered_json HeadJson(const TokenizerModel& model) {
  ordered_json added = ordered_json::array();
  for (const int32_t id : model.special_ids) {
    added.push_back({{"id", id},
                     {"content", model.tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", nullptr},
          {"pre_tokenizer", PreTokenizerJson(model.pattern)},
          {"post_processor", ByteLevelJson(false)},
          {"decoder", ByteLevelJson(true)}};
}

// The tokens that `transformers` knows by a role; null where the vocabulary has none.
ordered_json Roles(const TokenizerModel& model) {
  const auto spelled = [&model](const char* spelling) {
    return FindSpecialToken(model, spelling) >= 0 ? ordered_json(spelling) : ordered_json();
  };
  const ordered_json end = spelled(kEndOfText), pad = spelled(kPad);
  ordered_json roles = ordered_json::object();
  if (!end.is_null()) roles["bos_token"] = roles["eos_token"] = end;
  if (!pad.is_null() || !end.is_null()) roles["pad_token"] = pad.is_null() ? end : pad;
  ordered_json others = ordered_json::array();
  for (const int32_t id : model.special_ids) {
    const std::string& spelling = model.tokens[id];
    if (spelling != kEndOfText && spelling != kPad) others.push_back(spelling);
  }
  roles["additional_special_tokens"] = std::move(others);
  return roles;
}

bool HasChatTemplate(const TokenizerModel& model) {
  return FindSpecialToken(model, kTurnBegin) >= 0 && FindSpecialToken(model, kTurnEnd) >= 0;
}

// The class name is the plain one: a model's own name makes transformers 5 rebuild the pre-tokenizer from the class.
ordered_json ConfigJson(const TokenizerModel& model, int64_t model_max_length) {
  ordered_json decoder = ordered_json::object();
  for (const int32_t id : model.special_ids) {
    decoder[absl::StrCat(id)] = {{"content", model.tokens[id]}, {"lstrip", false},
                                 {"normalized", false},         {"rstrip", false},
                                 {"single_word", false},        {"special", true}};
  }
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  if (model_max_length > 0) config["model_max_length"] = model_max_length;
  config["padding_side"] = "right";
  config["clean_up_tokenization_spaces"] = false;
  config.update(Roles(model));
  config["added_tokens_decoder"] = std::move(decoder);
  if (HasChatTemplate(model)) config["chat_template"] = std::string(ChatTemplate());
  return config;
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Moves the finished directory into its place.
absl::Status Install(const std::string& made, const std::string& directory) {
  if (!DirectoryExists(directory)) return RenameWithoutReplacing(made, directory);
  const std::string old = made + "-old";
  INGOT_RETURN_IF_ERROR(RenameWithoutReplacing(directory, old));
  if (absl::Status status = RenameWithoutReplacing(made, directory); !status.ok()) {
    RenameWithoutReplacing(old, directory).IgnoreError();  // the first error is the one to report
    return status;
  }
  return RemoveRecursively(old);
}

}  // namespace

std::string WriteTokenizerJson(const TokenizerModel& model) {
  std::string text = HeadJson(model).dump(2);
  text.resize(text.size() - 2);  // the closing "\n}"
  // nlohmann-json's ordered objects are searched from the front: too slow for a vocabulary, so it is written here.
  absl::StrAppend(&text,
                  ",\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                  "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
                  "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": ",
                  model.whole_piece_first ? "true" : "false", ",\n    \"vocab\": {");
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    absl::StrAppend(&text, id == 0 ? "\n      " : ",\n      ", Key(model, id), ": ", id);
  }
  absl::StrAppend(&text, "\n    },\n    \"merges\": [");
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    absl::StrAppend(&text, rank == 0 ? "\n" : ",\n", "      [\n        ", Key(model, merge.left), ",\n        ",
                    Key(model, merge.right), "\n      ]");
  }
  absl::StrAppend(&text, model.merges.empty() ? "]" : "\n    ]", "\n  }\n}");
  return text;
}

absl::Status WriteTokenizerFiles(const TokenizerModel& model, int64_t model_max_length, const std::string& directory) {
  const auto write = [&directory](const char* name, const std::string& contents) {
    return WriteFileAtomically(JoinPath(directory, name), contents);
  };
  INGOT_RETURN_IF_ERROR(write("tokenizer.json", WriteTokenizerJson(model)));
  INGOT_RETURN_IF_ERROR(write("tokenizer_config.json", ConfigJson(model, model_max_length).dump(2) + "\n"));
  INGOT_RETURN_IF_ERROR(write("special_tokens_map.json", Roles(model).dump(2) + "\n"));
  if (!HasChatTemplate(model)) return absl::OkStatus();
  return write("chat_template.jinja", std::string(ChatTemplate()));
}

absl::Status CheckTokenizerOutput(const std::string& directory) {
  const std::string target = WithoutTrailingSlashes(directory);
  if (!DirectoryExists(target)) {
    if (!FileExists(target)) return absl::OkStatus();
    return absl::AlreadyExistsError(absl::StrCat(target, " is a file, expected a directory to make"));
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(target));
  for (const std::string& name : names) {
    if (std::find(std::begin(kFiles), std::end(kFiles), name) != std::end(kFiles)) continue;
    return absl::AlreadyExistsError(
        absl::StrCat(target, " holds other files than a tokenizer's (", name, "); give another --output"));
  }
  return absl::OkStatus();
}

absl::Status SaveTokenizer(const TokenizerModel& model, const std::string& directory) {
  INGOT_RETURN_IF_ERROR(CheckTokenizerOutput(directory));
  const std::string target = WithoutTrailingSlashes(directory);
  const std::string temporary = absl::StrCat(target, ".tmp-", getpid());
  INGOT_RETURN_IF_ERROR(RemoveRecursively(temporary));
  INGOT_RETURN_IF_ERROR(CreateDirectories(temporary));
  absl::Status status = WriteTokenizerFiles(model, 0, temporary);
  if (status.ok()) status = SyncDirectory(temporary);
  if (status.ok()) status = Install(temporary, target);
  if (!status.ok()) RemoveRecursively(temporary).IgnoreError();  // the first error is the one to report
  return status;
}

}  // namespace ingot
