#include "core/training/optimizer.h"

#include <utility>

#include "core/base/status_macros.h"
#include "kernels/adamw.h"
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

int64_t Blocks(const ParameterTable& table) {
  return (table.flat_size + GradientNorm::kBlock - 1) / GradientNorm::kBlock;
}

}  // namespace

int64_t Optimizer::Bytes(const ParameterTable& table) {
  return 2 * Arena::Aligned(table.flat_size * SizeOf(DType::kF32)) +
         Arena::Aligned(Blocks(table) * SizeOf(DType::kF64));
}

absl::StatusOr<Optimizer> Optimizer::Create(const ParameterTable& table, const AdamWSettings& settings) {
  INGOT_ASSIGN_OR_RETURN(Arena arena, Arena::Create("optimizer moments", Bytes(table)));
  return Optimizer(table, settings, std::move(arena));
}

Optimizer::Optimizer(const ParameterTable& table, const AdamWSettings& settings, Arena arena)
    : table_(&table), settings_(settings), arena_(std::move(arena)) {
  moment1_ = arena_.Take("first moments", DType::kF32, {table.flat_size});
  moment2_ = arena_.Take("second moments", DType::kF32, {table.flat_size});
  block_sums_ = arena_.Take("gradient block sums", DType::kF64, {Blocks(table)});
}

double Optimizer::GradientNorm(const Tensor& gradients) {
  Context ctx;
  ctx.Run(ingot::GradientNorm{.x = gradients, .block_sums = block_sums_});
  return NormOfBlockSums(block_sums_.data<double>(), Count(block_sums_));
}

void Optimizer::Apply(int64_t step, double learning_rate, double gradient_norm, Tensor parameters,
                      const Tensor& gradients) {
  const bool clips = settings_.clip > 0 && gradient_norm > settings_.clip;
  const float scale = clips ? static_cast<float>(settings_.clip / gradient_norm) : 1.0f;
  const std::pair<int64_t, int64_t> ranges[] = {{0, table_->decay_size},
                                                {table_->decay_size, table_->flat_size - table_->decay_size}};
  Context ctx;
  for (const auto& [begin, size] : ranges) {
    if (size == 0) continue;
    ctx.Run(AdamW{.w = Slice(parameters, begin, {size}),
                  .gradient = Slice(gradients, begin, {size}),
                  .m = Slice(moment1_, begin, {size}),
                  .v = Slice(moment2_, begin, {size}),
                  .step = step,
                  .learning_rate = static_cast<float>(learning_rate),
                  .beta1 = settings_.beta1,
                  .beta2 = settings_.beta2,
                  .eps = settings_.eps,
                  .weight_decay = begin == 0 ? settings_.weight_decay : 0.0f,
                  .gradient_scale = scale});
  }
}

}  // namespace ingot
