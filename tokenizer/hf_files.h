#pragma once
// The files of a tokenizer as Hugging Face `tokenizers` and `transformers` open them: tokenizer.json,
// tokenizer_config.json, special_tokens_map.json and, where the vocabulary has the tokens for it, chat_template.jinja.
// Formats and reasons: docs/tokenizer_files.md.
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

// Reads a byte-level BPE tokenizer.json. What our encoder would not do exactly as `tokenizers` does (a normalizer, say)
// is refused by the name of the field.
absl::StatusOr<TokenizerModel> ReadTokenizerJson(const std::string& path);

// The same from memory; `what` names the text in errors. Any bytes may be given: the fuzz target does.
absl::StatusOr<TokenizerModel> ParseTokenizerJson(absl::string_view text, absl::string_view what);

// The contents of tokenizer.json, byte for byte as `tokenizers` saves it.
std::string WriteTokenizerJson(const TokenizerModel& model);

// Writes the files into `directory`, which exists. `model_max_length` is the context of the model beside them in
// tokens; 0 leaves it out.
absl::Status WriteTokenizerFiles(const TokenizerModel& model, int64_t model_max_length, const std::string& directory);

// Whether SaveTokenizer may make `directory`: it does not exist, is empty, or holds nothing but a tokenizer's files. To
// be asked before long work, too.
absl::Status CheckTokenizerOutput(const std::string& directory);

// Makes `directory` with the files in it, whole or not at all. An existing one is replaced or
// refused as CheckTokenizerOutput says.
absl::Status SaveTokenizer(const TokenizerModel& model, const std::string& directory);

}  // namespace ingot
