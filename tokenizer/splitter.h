#pragma once
// Splitter: cuts text into the pieces that merges never cross. Four patterns, each equal to a regular expression of
// Hugging Face `tokenizers` on valid UTF-8 (docs/tokenizer_files.md has their texts):
//   qwen2   words with one leading sign, single digits, newlines end a piece      (default)
//   gpt2    words, numbers and signs with one leading blank
//   llama3  as qwen2, digits by threes
//   digits  as gpt2, single digits without a blank
// Any bytes are text: a byte that is not UTF-8 is one character of the class "other". Linear in time, no recursion.
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

enum class SplitPattern : uint8_t { kQwen2, kGpt2, kLlama3, kDigits };

inline constexpr SplitPattern kAllSplitPatterns[] = {SplitPattern::kQwen2, SplitPattern::kGpt2, SplitPattern::kLlama3,
                                                     SplitPattern::kDigits};

// "qwen2", "gpt2", "llama3" or "digits"; the error names all four.
absl::StatusOr<SplitPattern> ParseSplitPattern(absl::string_view name);
absl::string_view SplitPatternName(SplitPattern pattern);

// Writes the ends of the pieces from `begin` on into `ends`, as many as fit, and returns their number: 0 only if
// `begin` is the end of the text. `begin` must be the text's begin or the end of a piece. Thread-safe.
size_t SplitText(SplitPattern pattern, absl::string_view text, size_t begin, std::span<size_t> ends);

// A place in [target, text.size()] where `text` may be cut without changing its pieces, under any pattern and normalized
// or not: after a letter that neither letter nor mark follows. The end of the text if there is no such place.
size_t SafeCut(absl::string_view text, size_t target);

}  // namespace ingot
