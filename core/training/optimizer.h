#pragma once
// Optimizer: AdamW with its moments, over the two flat ranges of a model's parameters (with and without decay).
#include <cstdint>

#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/model/parameter_table.h"
#include "core/training/checkpoint.h"

namespace ingot {

struct AdamWSettings {
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float eps = 1e-8f;
  float weight_decay = 0.1f;
  float clip = 1;  // longest gradient (2-norm); 0: no clipping
};

class Optimizer {
 public:
  // Bytes that Create() will take.
  static int64_t Bytes(const ParameterTable& table);
  // Moments at zero. `table` must outlive the optimizer. Errors: memory the system does not have.
  static absl::StatusOr<Optimizer> Create(const ParameterTable& table, const AdamWSettings& settings);

  // Global 2-norm of `gradients` (flat_size), in double from block sums in a fixed order.
  double GradientNorm(const Tensor& gradients);
  // Step `step` (from 1) at `learning_rate`; gradients longer than `clip` count as scaled down to it.
  void Apply(int64_t step, double learning_rate, double gradient_norm, Tensor parameters, const Tensor& gradients);

  OptimizerTensors tensors() const { return {moment1_, moment2_}; }

 private:
  Optimizer(const ParameterTable& table, const AdamWSettings& settings, Arena arena);
  const ParameterTable* table_;
  AdamWSettings settings_;
  Arena arena_;
  Tensor moment1_, moment2_, block_sums_;
};

}  // namespace ingot
