#pragma once
// Loader: batches of token windows in an order that is a pure function of (seed, plan, global index).
// Window i of epoch e is tokens [p*T, p*T + T] with p = permutation(seed, e)(i), so any index is reached in O(1) and
// every number of ranks sees the same global stream.
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset.h"

namespace ingot {

struct LoaderPlan {
  Split split = Split::kTraining;
  int64_t B = 0;  // sequences of one batch
  int64_t T = 0;  // tokens of one sequence
  uint64_t seed = 0;
  bool shuffle = true;          // false: windows in file order (validation)
  bool mask_documents = false;  // attention stays inside a document; a document's end predicts nothing
};

struct TokenBatch {
  int64_t B = 0, T = 0;
  std::vector<int32_t> tokens;          // (B, T)
  std::vector<int32_t> targets;         // (B, T)  the next token; -1: no target here
  std::vector<int32_t> document_start;  // (B, T)  first t of the document this token is in; 0 without masks
  std::vector<int32_t> positions;       // (B, T)  t - document_start: positions restart with each document
  int64_t target_count = 0;             // targets that are not -1
};

class Loader {
 public:
  // `dataset` must have at least one window of T + 1 tokens in the split; the error says how many tokens there are.
  static absl::StatusOr<std::unique_ptr<Loader>> Create(Dataset dataset, const LoaderPlan& plan);
  virtual ~Loader() = default;

  // Windows of one epoch.
  virtual int64_t windows() const = 0;
  // Global sequences [first, first + B) of the stream, whatever was read before. Thread-safe.
  virtual void Read(int64_t first, TokenBatch& batch) const = 0;

  // From `first` on, batches are prepared ahead by a thread. A rank r of W that reads batch numbers b with
  // b mod W = r passes stride W * B and first = r * B.
  virtual void Start(int64_t first, int64_t stride) = 0;
  // The next batch of the running stream; valid until the call after.
  virtual const TokenBatch& Next() = 0;
  // Seconds that Next() has waited for data so far.
  virtual double seconds_waited() const = 0;
};

}  // namespace ingot
