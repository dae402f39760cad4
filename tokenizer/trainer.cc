#include "tokenizer/trainer.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "tokenizer/bytes.h"
#include "tokenizer/merge_learner.h"
#include "tokenizer/piece_counter.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

constexpr int64_t kBytes = 256;
constexpr size_t kChunkBytes = size_t{1} << 20;  // a long document is counted by several threads, a chunk each
constexpr int64_t kProgressMerges = 500;         // merges between two reports

// Hands out the documents of a source in chunks. Thread-safe.
class ChunkQueue {
 public:
  ChunkQueue(const TextSource& next, const TrainerOptions& options) : next_(next), options_(options) {}

  struct Chunk {
    std::shared_ptr<const std::string> document;  // keeps the text alive
    absl::string_view text;
  };

  // False at the end or after an error.
  bool Next(Chunk& chunk) {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (begin_ >= text_.size()) {
      if (!NextDocument()) return false;
    }
    const absl::string_view rest = text_.substr(begin_);
    const size_t size = rest.size() <= kChunkBytes ? rest.size() : SafeCut(rest, kChunkBytes);
    chunk = {document_, rest.substr(0, size)};
    begin_ += size;
    return true;
  }

  const absl::Status& status() const { return status_; }
  int64_t bytes() const { return bytes_; }

 private:
  bool NextDocument() {
    if (done_) return false;
    auto document = std::make_shared<std::string>();
    const absl::StatusOr<bool> more = next_(*document);
    if (!more.ok()) status_ = more.status();
    if (!more.ok() || !*more) {
      done_ = true;
      return false;
    }
    if (options_.limit_bytes > 0 && bytes_ + static_cast<int64_t>(document->size()) >= options_.limit_bytes) {
      document->resize(SafeCut(*document, static_cast<size_t>(options_.limit_bytes - bytes_)));
      done_ = true;
    }
    bytes_ += static_cast<int64_t>(document->size());
    document_ = std::move(document);
    text_ = *document_;
    begin_ = 0;
    if (options_.progress) options_.progress({.bytes = bytes_});
    return true;
  }

  const TextSource& next_;
  const TrainerOptions& options_;
  std::mutex mutex_;
  std::shared_ptr<const std::string> document_;
  absl::string_view text_;
  size_t begin_ = 0;
  int64_t bytes_ = 0;
  bool done_ = false;
  absl::Status status_;
};

void CountChunk(const TrainerOptions& options, absl::string_view text, PieceCounter& counter) {
  if (!options.lines) return counter.AddText(options.pattern, text);
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t size = newline == absl::string_view::npos ? text.size() : newline + 1;
    counter.AddText(options.pattern, text.substr(0, size));
    text.remove_prefix(size);
  }
}

// All pieces of the source with their counts, as words of `learner`; the bytes read.
absl::StatusOr<int64_t> CountPieces(const TextSource& next, const TrainerOptions& options, MergeLearner& learner) {
  const int threads = options.threads > 0 ? options.threads : AvailableProcessors();
  std::vector<PieceCounter> counters(threads);
  ChunkQueue queue(next, options);
  ParallelFor(threads, threads, [&](int64_t i) {
    ChunkQueue::Chunk chunk;
    while (queue.Next(chunk)) CountChunk(options, chunk.text, counters[i]);
  });
  INGOT_RETURN_IF_ERROR(queue.status());
  PieceCounter& total = counters[0];
  ParallelFor(PieceCounter::kPartitions, threads, [&](int64_t partition) {
    for (int i = 1; i < threads; ++i) total.AddPartition(static_cast<int>(partition), counters[i]);
  });
  for (int i = 0; i < PieceCounter::kPartitions; ++i) {
    total.ForEach(i, [&](absl::string_view piece, int64_t count) { learner.AddWord(piece, count); });
  }
  learner.CountPairs();
  return queue.bytes();
}

absl::Status CheckOptions(const TrainerOptions& options) {
  constexpr int64_t kLeast = kBytes + kReservedTokens;
  if (options.vocabulary_size < kLeast) {
    return absl::InvalidArgumentError(absl::StrCat("--vocab-size ", options.vocabulary_size, ": at least ", kLeast,
                                                   " are needed, ", kBytes, " bytes and ", kReservedTokens,
                                                   " reserved special tokens"));
  }
  constexpr int64_t kMost = int64_t{1} << 24;
  if (options.vocabulary_size > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat("--vocab-size ", options.vocabulary_size, ": at most ", kMost, " are supported"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerModel> TrainTokenizer(const TextSource& next, const TrainerOptions& options) {
  INGOT_RETURN_IF_ERROR(CheckOptions(options));
  MergeLearner learner(options.min_frequency);
  INGOT_ASSIGN_OR_RETURN(const int64_t bytes, CountPieces(next, options, learner));
  if (bytes == 0) return absl::InvalidArgumentError("the input has no text: a tokenizer is learned from text");
  TokenizerModel model;
  model.pattern = options.pattern;
  for (const uint8_t byte : kAlphabet) model.tokens.emplace_back(1, static_cast<char>(byte));
  const int64_t wanted = options.vocabulary_size - kBytes - kReservedTokens;
  for (int64_t learned = 0; learned < wanted; ++learned) {
    if (options.progress && learned % kProgressMerges == 0) {
      options.progress({.bytes = bytes, .pieces = learner.words(), .merges = learned, .merges_wanted = wanted});
    }
    Merge merge;
    if (!learner.LearnMerge(static_cast<int32_t>(model.tokens.size()), merge)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--vocab-size ", options.vocabulary_size, ": the text supports at most ", kBytes + learned + kReservedTokens,
          options.min_frequency > 1 ? " at this --min-frequency" : "", "; ask for fewer or give more text"));
    }
    model.tokens.push_back(model.tokens[merge.left] + model.tokens[merge.right]);
    model.merges.push_back(merge);
  }
  AppendSpecialTokens(ReservedTokens(), model);
  return model;
}

}  // namespace ingot
