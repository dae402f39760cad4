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

absl::StatusOr<Optimizer> Optimizer::Create(const Model& model, const AdamWSettings& settings) {
  INGOT_ASSIGN_OR_RETURN(Arena arena, model.backend()->CreateArena("optimizer moments", Bytes(model.table())));
  Optimizer optimizer(model, settings, std::move(arena));
  INGOT_RETURN_IF_ERROR(model.backend()->FillZero(optimizer.moment1_));
  INGOT_RETURN_IF_ERROR(model.backend()->FillZero(optimizer.moment2_));
  return optimizer;
}

Optimizer::Optimizer(const Model& model, const AdamWSettings& settings, Arena arena)
    : model_(&model), settings_(settings), arena_(std::move(arena)), host_block_sums_(Blocks(model.table())) {
  const ParameterTable& table = model.table();
  moment1_ = arena_.Take("first moments", DType::kF32, {table.flat_size});
  moment2_ = arena_.Take("second moments", DType::kF32, {table.flat_size});
  block_sums_ = arena_.Take("gradient block sums", DType::kF64, {Blocks(table)});
}

absl::StatusOr<double> Optimizer::GradientNorm() {
  Context ctx = model_->backend()->MakeContext();
  ctx.Run(ingot::GradientNorm{.x = model_->gradients(), .block_sums = block_sums_});
  INGOT_RETURN_IF_ERROR(model_->backend()->CopyOut(host_block_sums_.data(), block_sums_));
  return NormOfBlockSums(host_block_sums_.data(), Count(block_sums_));
}

void Optimizer::Apply(int64_t step, double learning_rate, double gradient_norm) {
  const bool clips = settings_.clip > 0 && gradient_norm > settings_.clip;
  const float scale = clips ? static_cast<float>(settings_.clip / gradient_norm) : 1.0f;
  const ParameterTable& table = model_->table();
  const std::pair<int64_t, int64_t> ranges[] = {{0, table.decay_size},
                                                {table.decay_size, table.flat_size - table.decay_size}};
  const Tensor working = model_->working_parameters();
  const bool copies = working.dtype != DType::kF32;
  Context ctx = model_->backend()->MakeContext();
  for (const auto& [begin, size] : ranges) {
    if (size == 0) continue;
    ctx.Run(AdamW{.w = Slice(model_->parameters(), begin, {size}),
                  .gradient = Slice(model_->gradients(), begin, {size}),
                  .m = Slice(moment1_, begin, {size}),
                  .v = Slice(moment2_, begin, {size}),
                  .w_bf16 = copies ? Slice(working, begin, {size}) : Tensor(),
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
