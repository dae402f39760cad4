#pragma once
// Evaluation: the loss of a model over windows of tokens.
//   Window i of a stream of n tokens holds tokens [i*T, i*T + T) and predicts tokens [i*T + 1, i*T + T], each from
//   those before it in its window. Every token but the first of the stream is predicted once.
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "data_pipeline/loader.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

struct EvalTotals {
  double nats = 0;               // sum of -ln p over all targets
  int64_t targets = 0;           // ends of documents included
  int64_t bytes = 0;             // of text that the targets stand for
  double loss() const;           // nats / targets
  double perplexity() const;     // exp(loss)
  double bits_per_byte() const;  // nats / ln 2 / bytes
};

// Where windows come from: read(first, batch) fills batch with windows [first, first + B). An error means damaged data.
struct WindowSource {
  int64_t windows = 0;
  std::function<absl::Status(int64_t, TokenBatch&)> read;
};

// The first `windows` (at most all; 0: all) of a loader that does not shuffle. `loader` must outlive the source. A rest
// of the split shorter than a window is left out.
WindowSource WindowsOf(const Loader& loader, int64_t windows);

// A stream of tokens: copy(first, count, ids) gives ids [first, first + count).
struct TokenSource {
  int64_t tokens = 0;
  std::function<void(int64_t, int64_t, int32_t*)> copy;
};

// All of a stream; the last window may be short.
WindowSource WindowsOf(const TokenSource& stream, int64_t B, int64_t T);

// Sum over all windows, in batches of the model's B. Errors: damaged data, and what the model's device reports.
absl::StatusOr<EvalTotals> Evaluate(Model& model, const WindowSource& source, const Tokenizer& tokenizer,
                                    bool mask_documents = false);

// Tensors over the vectors of `batch`.
ModelInput InputOf(TokenBatch& batch, bool mask_documents);

}  // namespace ingot
