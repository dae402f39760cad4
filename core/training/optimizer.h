#pragma once
// Optimizer: AdamW with its moments, over the two flat ranges of a model's parameters (with and without decay), or over
// the part of them that one of several ranks updates.
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/model/model.h"
#include "core/model/parameter_table.h"
#include "core/training/checkpoint.h"
#include "distributed/sum_tree.h"

namespace ingot {

struct AdamWSettings {
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float eps = 1e-8f;
  float weight_decay = 0.1f;
  float clip = 1;               // longest gradient (2-norm); 0: no clipping
  DType moments = DType::kF32;  // or kBf16, rounded stochastically (kernels/adamw.h)
  uint64_t rounding_seed = 0;   // of that
};

class Optimizer {
 public:
  // Bytes that Create() will take for `part`.
  static int64_t Bytes(Interval part, DType moments = DType::kF32);
  // Of the flat buffer's elements `part`, which begins and ends at multiples of GradientNorm::kBlock. Moments at zero, on
  // the model's device. `model` must outlive the optimizer. Errors: memory the device does not have.
  static absl::StatusOr<Optimizer> Create(Model& model, const AdamWSettings& settings, Interval part);

  // Sums of squares of the part's gradients, by block: NormOfBlockSums() of all parts' is the square of the 2-norm.
  absl::StatusOr<std::vector<double>> BlockSums();
  // Step `step` (from 1) at `learning_rate`, with gradients times `gradient_scale`. Writes the part's parameters and
  // working parameters.
  void Apply(int64_t step, double learning_rate, double gradient_scale);

  Interval part() const { return part_; }
  const AdamWSettings& settings() const { return settings_; }
  OptimizerTensors tensors() const { return {moment1_, moment2_}; }  // of the part

 private:
  Optimizer(Model& model, const AdamWSettings& settings, Interval part, Arena arena);
  Tensor Gradients(int64_t begin, int64_t size) const;  // elements of the flat buffer

  Model* model_;
  AdamWSettings settings_;
  Interval part_;
  Arena arena_;
  Tensor moment1_, moment2_, block_sums_;
};

// What multiplies a gradient of 2-norm `norm`: 1, or what makes it as long as `clip` allows.
double ClipScale(double clip, double norm);

}  // namespace ingot
