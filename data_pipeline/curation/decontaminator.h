#pragma once
// Decontaminator: does a document hold text of evaluation files? It does if n of its words in a row (words.h) are n
// words in a row of an evaluation text; an evaluation text of fewer than n words is looked for as a whole. After Brown
// et al. 2020 (GPT-3, appendix C), with n = 13. N-grams are compared by hashes of 64 bits: M of them give a false match
// every 2^64 / M words.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data_pipeline/curation/options.h"

namespace ingot {

class Decontaminator {
 public:
  // Evaluation texts of fewer words are not looked for: "the answer is no" would leave out half of a corpus.
  static constexpr size_t kFewestWords = 8;

  // `files`: .txt files hold one text each, of .jsonl and .parquet every string at any depth is one; directories, patterns
  // and lists as for documents. `words`: n, at least kFewestWords. Memory: about 40 bytes a word of the files.
  static absl::StatusOr<Decontaminator> Create(const std::vector<std::string>& files, int64_t words);

  // What was read, with `documents` 0.
  const std::vector<EvaluationFile>& files() const { return files_; }
  // Index in files() of one that `text` holds words of: the first match in `text` decides. -1: none.
  int64_t FindMatch(absl::string_view text) const;

 private:
  // Windows of one length in words.
  struct Window {
    size_t words;
    uint64_t leaves;  // the factor of the word that leaves: kFactor^words
  };

  explicit Decontaminator(size_t n) : n_(n) {}
  void AddText(absl::string_view text, uint32_t file);
  void Seal();

  size_t n_;
  std::vector<EvaluationFile> files_;
  std::vector<Window> windows_;  // lengths that occur, ascending
  absl::flat_hash_map<uint64_t, uint32_t> file_of_;
  std::vector<uint64_t> filter_;  // a bit of it for each key of file_of_: answers most look-ups from the cache
  uint64_t filter_mask_ = 0;
};

}  // namespace ingot
