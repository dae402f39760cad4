#pragma once
// Tokenizer: a byte-level BPE vocabulary, its split pattern and its special tokens, loaded from a directory that
// Hugging Face `tokenizers` opens as well (tokenizer.json). Immutable once made: share it between threads.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

struct TokenizerModel;  // vocabulary, merges, pattern, special tokens: tokenizer/model.h
struct EncodingTables;  // what encoders look up, made once a tokenizer: tokenizer/encoding_tables.h

class Tokenizer {
 public:
  // Reads DIRECTORY/tokenizer.json. Errors name the file and the field.
  static absl::StatusOr<Tokenizer> Load(const std::string& directory);
  // `model` must be valid: see Validate() in tokenizer/model.h.
  explicit Tokenizer(std::shared_ptr<const TokenizerModel> model);

  // Whether text may be cut at SafeCut() without changing its ids. Not if it holds added tokens that are not special.
  bool MayCutText() const;
  // Number of tokens, special and reserved ones included; ids are 0 … size-1.
  int64_t size() const;
  // `size` rounded up to a multiple of 64: the rows of an embedding table for this tokenizer.
  int64_t padded_size() const;
  // The id of <|endoftext|> (of an import: or <|end_of_text|>, </s>), which ends every document in shards; -1 if the
  // vocabulary has none.
  int32_t end_of_text() const;
  // Id of a special token by its spelling, -1 if there is none.
  int32_t SpecialToken(absl::string_view spelling) const;
  // Bytes of text that `id` stands for; 0 for special tokens.
  int64_t ByteLength(int32_t id) const;

  // The bytes that `ids` stand for, joined; special tokens give nothing unless asked for by their spelling.
  // An id outside [0, size) is an error.
  absl::StatusOr<std::string> Decode(std::span<const int32_t> ids, bool spell_special_tokens = false) const;

  const TokenizerModel& model() const { return *model_; }

 private:
  friend class Encoder;
  std::shared_ptr<const TokenizerModel> model_;
  std::shared_ptr<const EncodingTables> tables_;
};

// Turns text into ids. Keeps a cache of pieces and scratch memory: one Encoder a thread, many texts an Encoder.
class Encoder {
 public:
  explicit Encoder(const Tokenizer& tokenizer);
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  // Appends the ids of `text`, any bytes at all, to `ids`. Spellings of special tokens are ordinary text here; those of
  // other added tokens, which imports may have, become their ids as in `tokenizers`.
  void Encode(absl::string_view text, std::vector<int32_t>& ids);
  // The same, but occurrences of special tokens become their ids (leftmost, longest).
  void EncodeWithSpecialTokens(absl::string_view text, std::vector<int32_t>& ids);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ingot
