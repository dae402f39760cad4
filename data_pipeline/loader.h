#pragma once
// Loader: batches of token sequences in an order that is a pure function of (seed, plan, global index), so any index is
// reached in O(1) and every number of ranks sees the same global stream. docs/data.md states the function.
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset.h"
#include "data_pipeline/fim.h"
#include "data_pipeline/mixture.h"

namespace ingot {

enum class Packing {
  kConcatenate,  // windows of T tokens of the documents one after the other
  kBestFit,      // whole documents placed into rows (best_fit.h)
};

struct LoaderPlan {
  Split split = Split::kTraining;
  int64_t B = 0;  // sequences of one batch
  int64_t T = 0;  // tokens of one sequence
  uint64_t seed = 0;
  bool shuffle = true;          // false: in file order, several sources spread evenly (validation)
  bool mask_documents = false;  // attention stays inside a document; a document's end predicts nothing
  Packing packing = Packing::kConcatenate;
  FimPlan fim = {};
  // Above 0: the order is drawn inside blocks of this many tokens, which come in file order. 0: over everything.
  int64_t shuffle_tokens = 0;
  // Shares of the sources in the sequences (mixture.h); one source needs none.
  std::vector<MixtureStage> stages = {};
};

struct TokenBatch {
  int64_t B = 0, T = 0;
  std::vector<int32_t> tokens;          // (B, T)
  std::vector<int32_t> targets;         // (B, T)  the next token; -1: no target here
  std::vector<int32_t> document_start;  // (B, T)  first t of the document this token is in; 0 without masks
  std::vector<int32_t> positions;       // (B, T)  t - document_start: positions restart with each document
  int64_t target_count = 0;             // targets that are not -1

  // The loader's own, kept so that reading allocates nothing.
  struct Scratch {
    bool plain = false;  // document_start and positions are those of rows without masks
    std::vector<int32_t> tokens;
    std::vector<Segment> segments, made;
  } scratch;
};

class Loader {
 public:
  // Each source must have T + 1 tokens in the split if a stage gives it weight; the error says how many there are. All
  // sources were made by one tokenizer. Without shuffling, sources that are too short are left out.
  static absl::StatusOr<std::unique_ptr<Loader>> Create(std::vector<Dataset> sources, const LoaderPlan& plan);
  static absl::StatusOr<std::unique_ptr<Loader>> Create(Dataset dataset, const LoaderPlan& plan);
  virtual ~Loader() = default;

  // Sequences of one epoch, of all sources but raw documents, of which nobody knows yet how many there are.
  virtual int64_t windows() const = 0;
  // What each source gives to the first `sequences`.
  struct Share {
    int64_t sequences = 0;  // drawn from it
    int64_t rows = 0;       // of one of its epochs; 0: not known
    double epochs() const { return rows > 0 ? static_cast<double>(sequences) / static_cast<double>(rows) : 0; }
  };
  virtual std::vector<Share> Shares(int64_t sequences) const = 0;

  // Global sequences [first, first + B) of the stream, whatever was read before. Thread-safe. An error means damaged
  // data and names it.
  virtual absl::Status Read(int64_t first, TokenBatch& batch) const = 0;

  // From `first` on, batches are prepared ahead by a thread: `run` of them one after the other, then those of as many
  // that begin `stride` sequences after the first of these, and so on. A rank that has batches [a, b) of the M of each
  // step passes first = a * B, stride = M * B, run = b - a.
  virtual void Start(int64_t first, int64_t stride, int64_t run) = 0;
  void Start(int64_t first, int64_t stride) { Start(first, stride, 1); }
  // The next batch of the running stream; valid until the call after. After an error, see status(), a batch without
  // targets.
  virtual const TokenBatch& Next() = 0;
  // Why the stream ended; OK while it runs.
  virtual absl::Status status() const = 0;
  // Raw documents: called by Next() about once a second while it waits and more of them are tokenized meanwhile.
  virtual void set_on_growth(std::function<void()> on_growth) = 0;
  // Seconds that Next() has waited for data so far.
  virtual double seconds_waited() const = 0;
};

}  // namespace ingot
