#include "core/training/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

// A batch past the last window repeats or wraps: what was counted already has no targets.
void DropRowsFrom(int64_t first_dropped, TokenBatch& batch) {
  std::fill(batch.targets.begin() + std::max<int64_t>(first_dropped, 0) * batch.T, batch.targets.end(), -1);
}

void AddBatch(const TokenBatch& batch, const std::vector<float>& losses, const Tokenizer& tokenizer,
              EvalTotals& totals) {
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    const int32_t target = batch.targets[i];
    if (target < 0) continue;
    totals.nats += losses[i];
    ++totals.targets;
    if (target < tokenizer.size()) totals.bytes += tokenizer.ByteLength(target);
  }
}

void FillWindow(const TokenSource& stream, int64_t window, int64_t row, TokenBatch& batch) {
  const int64_t T = batch.T, first = window * T;
  std::vector<int32_t> ids(T + 1, 0);
  const int64_t held = std::clamp<int64_t>(stream.tokens - first, 0, T + 1);
  if (held > 0) stream.copy(first, held, ids.data());
  for (int64_t t = 0; t < T; ++t) {
    batch.tokens[row * T + t] = ids[t];
    batch.targets[row * T + t] = t + 1 < held ? ids[t + 1] : -1;
    batch.positions[row * T + t] = static_cast<int32_t>(t);
    batch.target_count += t + 1 < held;
  }
}

}  // namespace

double EvalTotals::loss() const { return nats / static_cast<double>(std::max<int64_t>(targets, 1)); }
double EvalTotals::perplexity() const { return std::exp(loss()); }
double EvalTotals::bits_per_byte() const {
  return nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(bytes, 1));
}

WindowSource WindowsOf(const Loader& loader, int64_t windows) {
  const int64_t all = loader.windows();
  return {.windows = windows == 0 ? all : std::min(windows, all),
          .read = [&loader](int64_t first, TokenBatch& batch) { return loader.Read(first, batch); }};
}

WindowSource WindowsOf(const TokenSource& stream, int64_t B, int64_t T) {
  const auto read = [stream, B, T](int64_t first, TokenBatch& batch) {
    batch.B = B;
    batch.T = T;
    batch.target_count = 0;
    for (auto* values : {&batch.tokens, &batch.targets, &batch.positions, &batch.document_start}) {
      values->assign(B * T, 0);
    }
    for (int64_t b = 0; b < B; ++b) FillWindow(stream, first + b, b, batch);
    return absl::OkStatus();
  };
  return {.windows = std::max<int64_t>((stream.tokens - 1 + T - 1) / T, 0), .read = read};
}

ModelInput InputOf(TokenBatch& batch, bool mask_documents) {
  const auto view = [&batch](std::vector<int32_t>& values) {
    return Tensor(values.data(), DType::kI32, {batch.B, batch.T});
  };
  return {.tokens = view(batch.tokens),
          .targets = view(batch.targets),
          .positions = view(batch.positions),
          .document_start = mask_documents ? view(batch.document_start) : Tensor()};
}

absl::StatusOr<EvalTotals> Evaluate(Model& model, const WindowSource& source, const Tokenizer& tokenizer,
                                    bool mask_documents) {
  EvalTotals totals;
  TokenBatch batch;
  std::vector<float> losses(model.shape().B * model.shape().T);
  for (int64_t first = 0; first < source.windows; first += model.shape().B) {
    INGOT_RETURN_IF_ERROR(source.read(first, batch));
    DropRowsFrom(std::min(source.windows - first, batch.B), batch);
    INGOT_RETURN_IF_ERROR(model.Evaluate(InputOf(batch, mask_documents), losses.data(), nullptr));
    AddBatch(batch, losses, tokenizer, totals);
  }
  return totals;
}

}  // namespace ingot
