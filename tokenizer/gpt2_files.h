#pragma once
// GPT-2's own pair of files: encoder.json (token → id, in the byte alphabet) and vocab.bpe (a #version line, then
// merges `left right` by rank).
#include <string>

#include "absl/status/statusor.h"
#include "tokenizer/model.h"

namespace ingot {

// The two must agree: ids are the 256 bytes, the merges in order, then <|endoftext|>.
absl::StatusOr<TokenizerModel> ReadGpt2Files(const std::string& encoder_path, const std::string& merges_path);

}  // namespace ingot
