#pragma once
// Trainer: learns a byte-level BPE vocabulary from text. The merges equal those of Hugging Face `tokenizers`
// (ByteLevel.alphabet() as initial alphabet, BpeTrainer) on the same pieces: again and again the commonest pair of
// adjacent tokens becomes a token, ties going to the smallest (left id, right id). Counts are 64 bits wide, where
// theirs wrap at 2^31. The result does not depend on the order of documents nor on the number of threads.
//
// Memory, apart from one document a thread: for every different piece of n bytes, 36 to 72 bytes in the table of each
// thread that met it (pieces over 15 bytes: about 40 + n), then 24 + 4 n for its symbols and at most 8 n for the lists of
// pairs; vectors that grow may for a moment hold as much again. So it is bounded by the number of different pieces, about
// 200 bytes each at 8 bytes: 2 GB hold 10 million. Nothing is pruned or guessed: rare pieces count as the others do.
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

// Gives the next document; false when there is none. Called by one thread at a time.
using TextSource = std::function<absl::StatusOr<bool>(std::string& document)>;

struct TrainerProgress {
  int64_t bytes = 0;   // of text counted so far
  int64_t pieces = 0;  // different pieces; known when counting has ended
  int64_t merges = 0;  // learned so far
  int64_t merges_wanted = 0;
};

struct TrainerOptions {
  int64_t vocabulary_size = 0;  // 256 bytes + merges + kReservedTokens
  SplitPattern pattern = SplitPattern::kQwen2;
  int64_t min_frequency = 0;  // pairs that occur less often are not merged
  bool lines = false;         // cut documents after each LF, as train(files) of `tokenizers` does
  int64_t limit_bytes = 0;    // stop after this much text; 0: read all
  int threads = 0;            // 0: all processors
  // Called from time to time, not from several threads at once.
  std::function<void(const TrainerProgress&)> progress;
};

// Errors: a vocabulary too small for the bytes and the reserved tokens, or larger than the text supports (the error
// says how large it may be), no text, and what `next` reports.
absl::StatusOr<TokenizerModel> TrainTokenizer(const TextSource& next, const TrainerOptions& options);

}  // namespace ingot
