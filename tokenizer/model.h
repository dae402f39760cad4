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

// A token that is looked for in text before it is split, by its spelling. Flags as `tokenizers` has them.
struct AddedToken {
  int32_t id = 0;
  bool special = true;        // a control token: text makes it only where that is allowed, and decoding leaves it out
  bool single_word = false;   // not found with a word character beside it
  bool lstrip = false;        // takes the white space before it along
  bool rstrip = false;        // and behind it
  bool normalized = false;    // looked for in text after normalization
  bool in_vocabulary = true;  // stands in model.vocab too; those that do not have the last ids
  bool operator==(const AddedToken&) const = default;
};

// What stands around a document, or a pair of them: a special token, or one of the sequences.
struct TemplatePart {
  int32_t id = -1;    // of the token; -1: a sequence
  char sequence = 0;  // 'A' or 'B'
  int32_t type_id = 0;
  bool operator==(const TemplatePart&) const = default;
};

struct SequenceTemplate {
  std::vector<TemplatePart> single, pair;  // both empty: nothing is put around text
  bool operator==(const SequenceTemplate&) const = default;
};

struct TokenizerModel {
  SplitPattern pattern = SplitPattern::kQwen2;
  std::vector<std::string> tokens;  // by id: the bytes it stands for; of an added token the spelling
  std::vector<Merge> merges;        // by rank
  std::vector<AddedToken> added;    // by id
  bool whole_piece_first = false;   // a piece that is a token is that token, whatever the merges say
  bool nfc = false;                 // text is normalized to NFC first
  SequenceTemplate around;          // put around documents where that is asked for
};

// nullptr if `id` is no added token.
const AddedToken* FindAdded(const TokenizerModel& model, int64_t id);
bool IsSpecial(const TokenizerModel& model, int64_t id);
// Whether merges may make `id`: it is no added token, or one whose spelling is also its key in model.vocab.
bool IsOrdinary(const TokenizerModel& model, int64_t id);
int64_t CountSpecial(const TokenizerModel& model);

// Whether `model` is one that encodes any bytes and can be written to files: at most 2^24 tokens, the 256 bytes among
// them, no token twice, merges of known tokens whose bytes add up, no pair twice. The error names the field as
// tokenizer.json does.
absl::Status Validate(const TokenizerModel& model);

}  // namespace ingot
