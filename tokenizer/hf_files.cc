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
#include "tokenizer/hf_post_processor.h"
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

std::string Key(const TokenizerModel& model, size_t id) {
  return Quoted(FindAdded(model, static_cast<int64_t>(id)) != nullptr ? model.tokens[id]
                                                                      : SpellBytes(model.tokens[id]));
}

ordered_json FlagsJson(const TokenizerModel& model, const AddedToken& token) {
  return {{"id", token.id},
          {"content", model.tokens[token.id]},
          {"single_word", token.single_word},
          {"lstrip", token.lstrip},
          {"rstrip", token.rstrip},
          {"normalized", token.normalized},
          {"special", token.special}};
}

// All but the model.
ordered_json HeadJson(const TokenizerModel& model) {
  ordered_json added = ordered_json::array();
  for (const AddedToken& token : model.added) added.push_back(FlagsJson(model, token));
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", model.nfc ? ordered_json{{"type", "NFC"}} : ordered_json()},
          {"pre_tokenizer", PreTokenizerJson(model.pattern)},
          {"post_processor", PostProcessorJson(model)},
          {"decoder", ByteLevelJson(true)}};
}

// The tokens that `transformers` knows by a role; null where the vocabulary has none.
ordered_json Roles(const TokenizerModel& model) {
  const auto spelled = [&model](int32_t id) { return id >= 0 ? ordered_json(model.tokens[id]) : ordered_json(); };
  const int32_t end_id = FindEndOfText(model), pad_id = FindSpecialToken(model, kPad);
  const int32_t first = model.around.single.empty() ? -1 : model.around.single[0].id;  // put before documents
  const int32_t begin_id = first >= 0 ? first : end_id;
  ordered_json roles = ordered_json::object();
  if (begin_id >= 0) roles["bos_token"] = spelled(begin_id);
  if (end_id >= 0) roles["eos_token"] = spelled(end_id);
  if (pad_id >= 0 || end_id >= 0) roles["pad_token"] = spelled(pad_id >= 0 ? pad_id : end_id);
  ordered_json others = ordered_json::array();
  for (const AddedToken& token : model.added) {
    const bool has_role = token.id == begin_id || token.id == end_id || token.id == pad_id;
    if (token.special && !has_role) others.push_back(model.tokens[token.id]);
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
  for (const AddedToken& token : model.added) {
    ordered_json flags = FlagsJson(model, token);
    flags.erase("id");
    decoder[absl::StrCat(token.id)] = std::move(flags);
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
  const auto behind = std::count_if(model.added.begin(), model.added.end(),
                                    [](const AddedToken& token) { return !token.in_vocabulary; });
  for (size_t id = 0; id + static_cast<size_t>(behind) < model.tokens.size(); ++id) {
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
