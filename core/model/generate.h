#pragma once
// Generation with a key/value cache.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"
#include "core/model/backend.h"
#include "core/model/dims.h"

namespace ingot {

struct SamplingOptions {
  double temperature = 1.0;  // 0: greedy
  int64_t top_k = 0;         // keep the k most likely; 0: all
  double top_p = 1.0;        // then the smallest set whose probability reaches p
  uint64_t seed = 0;
  int64_t vocabulary = 0;  // ids at or above it (padding rows) are never drawn
};

// One sequence: feeds tokens, keeps keys and values.
class CachedDecoder {
 public:
  // `parameters` is a flat buffer by MakeParameterTable(dims) in memory of `backend`, f32 or, on CUDA, bf16; it must
  // outlive the decoder. At most `capacity` tokens (<= dims.T) fit into the cache.
  static absl::StatusOr<std::unique_ptr<CachedDecoder>> Create(const ModelDims& dims,
                                                               std::shared_ptr<const Backend> backend,
                                                               Tensor parameters, int64_t capacity);
  virtual ~CachedDecoder() = default;
  // Appends `ids` and returns the logits (V) after the last of them; valid until the next call.
  virtual absl::StatusOr<std::span<const float>> Feed(std::span<const int32_t> ids) = 0;
  // Appends `ids` and draws the id that follows, where the model computes; `draw` numbers the draws of a sequence, so that a
  // seed gives the same text each time.
  virtual absl::StatusOr<int32_t> FeedAndDraw(std::span<const int32_t> ids, const SamplingOptions& options,
                                              int64_t draw) = 0;
  virtual int64_t length() const = 0;
};

}  // namespace ingot
