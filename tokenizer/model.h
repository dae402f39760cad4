#pragma once
// TokenizerModel: all that a tokenizer is, as plain data. Made by the trainer and by the readers of files.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tokenizer/splitter.h"

namespace ingot {

// Two adjacent tokens become one. The place in TokenizerModel::merges is the rank: lower ranks merge first.
struct Merge {
  int32_t left = 0, right = 0, result = 0;
  bool operator==(const Merge&) const = default;
};

struct TokenizerModel {
  SplitPattern pattern = SplitPattern::kQwen2;
  std::vector<std::string> tokens;   // by id: the bytes it stands for; of a special token the spelling
  std::vector<Merge> merges;         // by rank
  std::vector<int32_t> special_ids;  // ascending
  bool whole_piece_first = false;    // a piece that is a token is that token, whatever the merges say
};

// Whether `model` is one that encodes any bytes and can be written to files: at most 2^24 tokens, the 256 bytes among
// them, no token twice, merges of known tokens whose bytes add up, no pair twice. The error names the field as
// tokenizer.json does.
absl::Status Validate(const TokenizerModel& model);

}  // namespace ingot
