#include "core/training/optimizer.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "kernels/adamw.h"
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

int64_t Blocks(Interval part) { return part.size() / GradientNorm::kBlock; }

}  // namespace

double ClipScale(double clip, double norm) { return clip > 0 && norm > clip ? clip / norm : 1.0; }

int64_t Optimizer::Bytes(Interval part, DType moments) {
  return 2 * Arena::Aligned(part.size() * SizeOf(moments)) + Arena::Aligned(Blocks(part) * SizeOf(DType::kF64));
}

absl::StatusOr<Optimizer> Optimizer::Create(Model& model, const AdamWSettings& settings, Interval part) {
  const int64_t bytes =
      std::max(Bytes(part, settings.moments), Arena::kAlignment);  // a rank may have nothing to update
  INGOT_ASSIGN_OR_RETURN(Arena arena, model.backend()->CreateArena("optimizer moments", bytes));
  Optimizer optimizer(model, settings, part, std::move(arena));
  INGOT_RETURN_IF_ERROR(model.backend()->FillZero(optimizer.moment1_));
  INGOT_RETURN_IF_ERROR(model.backend()->FillZero(optimizer.moment2_));
  return optimizer;
}

Optimizer::Optimizer(Model& model, const AdamWSettings& settings, Interval part, Arena arena)
    : model_(&model), settings_(settings), part_(part), arena_(std::move(arena)) {
  moment1_ = arena_.Take("first moments", settings.moments, {part.size()});
  moment2_ = arena_.Take("second moments", settings.moments, {part.size()});
  block_sums_ = arena_.Take("gradient block sums", DType::kF64, {Blocks(part)});
}

Tensor Optimizer::Gradients(int64_t begin, int64_t size) const {
  return Slice(model_->gradients(), begin - model_->gradients_begin(), {size});
}

absl::StatusOr<std::vector<double>> Optimizer::BlockSums() {
  std::vector<double> sums(Blocks(part_));
  if (sums.empty()) return sums;
  Context ctx = model_->backend()->MakeContext();
  ctx.Run(GradientNorm{.x = Gradients(part_.begin, part_.size()), .block_sums = block_sums_});
  INGOT_RETURN_IF_ERROR(model_->backend()->CopyOut(sums.data(), block_sums_));
  return sums;
}

void Optimizer::Apply(int64_t step, double learning_rate, double gradient_scale) {
  const ParameterTable& table = model_->table();
  const Tensor working = model_->working_parameters();
  const bool copies = working.dtype != DType::kF32;
  Context ctx = model_->backend()->MakeContext();
  for (const Interval range : {Interval{0, table.decay_size}, Interval{table.decay_size, table.flat_size}}) {
    const int64_t begin = std::max(range.begin, part_.begin), size = std::min(range.end, part_.end) - begin;
    if (size <= 0) continue;
    const int64_t kept = begin - model_->parameters_begin();
    ctx.Run(AdamW{.w = Slice(model_->parameters(), kept, {size}),
                  .gradient = Gradients(begin, size),
                  .m = Slice(moment1_, begin - part_.begin, {size}),
                  .v = Slice(moment2_, begin - part_.begin, {size}),
                  .w_bf16 = copies ? Slice(working, kept, {size}) : Tensor(),
                  .step = step,
                  .learning_rate = static_cast<float>(learning_rate),
                  .beta1 = settings_.beta1,
                  .beta2 = settings_.beta2,
                  .eps = settings_.eps,
                  .weight_decay = range.begin == 0 ? settings_.weight_decay : 0.0f,
                  .gradient_scale = static_cast<float>(gradient_scale),
                  .rounding_seed = settings_.rounding_seed,
                  .first_element = begin});
  }
  model_->WorkingParametersWritten();
}

}  // namespace ingot
