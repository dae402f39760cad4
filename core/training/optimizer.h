#pragma once
// Optimizer: AdamW with its moments, over the two flat ranges of a model's parameters (with and without decay).
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/model/model.h"
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
  // Moments at zero, on the model's device. `model` must outlive the optimizer. Errors: memory the device does not have.
  static absl::StatusOr<Optimizer> Create(const Model& model, const AdamWSettings& settings);

  // Global 2-norm of the model's gradients, in double from block sums in a fixed order.
  absl::StatusOr<double> GradientNorm();
  // Step `step` (from 1) at `learning_rate`; gradients longer than `clip` count as scaled down to it. Writes the model's
  // parameters and working parameters.
  void Apply(int64_t step, double learning_rate, double gradient_norm);

  OptimizerTensors tensors() const { return {moment1_, moment2_}; }

 private:
  Optimizer(const Model& model, const AdamWSettings& settings, Arena arena);
  const Model* model_;
  AdamWSettings settings_;
  Arena arena_;
  Tensor moment1_, moment2_, block_sums_;
  std::vector<double> host_block_sums_;
};

}  // namespace ingot
