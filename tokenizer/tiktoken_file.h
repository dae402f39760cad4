#pragma once
// .tiktoken files: a line for each token, its bytes in base64, a blank, its rank (= id). They hold neither merges, nor
// the split pattern, nor special tokens.
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tokenizer/model.h"

namespace ingot {

// `specials` get the ids behind the ranks, in their order; empty: <|endoftext|> alone.
absl::StatusOr<TokenizerModel> ReadTiktokenFile(const std::string& path, SplitPattern pattern,
                                                const std::vector<std::string>& specials);

// The same from memory; `what` names the text in errors.
absl::StatusOr<TokenizerModel> ParseTiktokenFile(absl::string_view text, absl::string_view what, SplitPattern pattern,
                                                 const std::vector<std::string>& specials);

}  // namespace ingot
