#include "core/model/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/arena.h"
#include "core/base/status_macros.h"
#include "core/model/activation_plan.h"
#include "core/model/initialize.h"
#include "core/model/network.h"
#include "core/model/rope.h"
#include "kernels/lm_head_cross_entropy.h"

namespace ingot {
namespace {

bool HasAngles(const ModelDims& dims) { return dims.architecture == Architecture::kLlama; }

// The largest scratch that an op of a forward and backward asks for: the same code, run on null pointers.
int64_t ScratchBytes(const ModelDims& dims, const RunShape& shape, const ParameterTable& table,
                     const ActivationPlan& plan) {
  int64_t most = 0;
  Context ctx = Context::Describe([&](const OpRecord& op) { most = std::max(most, op.scratch_bytes); });
  const Tensor flat(nullptr, DType::kF32, {table.flat_size}), ids(nullptr, DType::kI32, {shape.B, shape.T});
  const int64_t R = shape.B * shape.T;
  const auto network =
      Network::Create({.dims = dims,
                       .shape = shape,
                       .table = table,
                       .plan = plan,
                       .parameters = flat,
                       .gradients = shape.training ? flat : Tensor(),
                       .angles = HasAngles(dims) ? Tensor(nullptr, DType::kF32, {shape.T, dims.D / 2, 2}) : Tensor()});
  const NetworkInput input = {.tokens = ids, .positions = ids, .document_start = ids};
  network->Forward(ctx, input);
  const Tensor targets(nullptr, DType::kI32, {R}), losses(nullptr, DType::kF32, {R});
  ctx.Run(LmHeadCrossEntropy{.x = network->rows(),
                             .w = network->head(),
                             .targets = targets,
                             .losses = losses,
                             .greedy = targets,
                             .dx = network->dx(),
                             .dw = network->dhead()});
  if (shape.training) network->Backward(ctx, input);
  return most;
}

// All that a model needs to know before it takes memory.
struct Layout {
  Layout(const ModelDims& d, const RunShape& s)
      : dims(d),
        shape(s),
        table(MakeParameterTable(dims)),
        activations(ListActivations(dims, shape), dims.L),
        scratch(ScratchBytes(dims, shape, table, activations)) {}

  int64_t angle_bytes() const { return HasAngles(dims) ? shape.T * dims.D * 4 : 0; }
  int64_t loss_bytes() const { return shape.training ? shape.B * shape.T * 4 : 0; }

  MemoryPlan Plan() const {
    const int64_t flat = table.flat_size * 4;
    MemoryPlan plan;
    const auto add = [&](const char* name, int64_t bytes) {
      if (bytes > 0) plan.entries.push_back({name, Arena::Aligned(bytes)});
    };
    add("parameters", flat);
    add("gradients", shape.training ? flat : 0);
    add("activations kept for backward", activations.kept_bytes());
    add("temporary activations", activations.temporary_bytes());
    add("rotary angles", angle_bytes());
    add("losses", loss_bytes());
    add("scratch", scratch);
    return plan;
  }

  ModelDims dims;
  RunShape shape;
  ParameterTable table;
  ActivationPlan activations;
  int64_t scratch;
};

class PlannedModel : public Model {
 public:
  PlannedModel(std::unique_ptr<const Layout> layout, Arena arena)
      : layout_(std::move(layout)), arena_(std::move(arena)) {
    const RunShape& s = layout_->shape;
    const int64_t flat = layout_->table.flat_size;
    parameters_ = arena_.Take("parameters", DType::kF32, {flat});
    if (s.training) gradients_ = arena_.Take("gradients", DType::kF32, {flat});
    const Tensor activations = arena_.Take("activations", DType::kU8, {layout_->activations.bytes()});
    if (HasAngles(dims())) angles_ = arena_.Take("angles", DType::kF32, {s.T, dims().D / 2, 2});
    if (s.training) losses_ = arena_.Take("losses", DType::kF32, {s.B * s.T});
    scratch_ = arena_.Take("scratch", DType::kU8, {layout_->scratch});
    if (HasAngles(dims())) FillRopeAngles(dims().rope_theta, angles_);
    network_ = Network::Create({.dims = layout_->dims,
                                .shape = s,
                                .table = layout_->table,
                                .plan = layout_->activations,
                                .parameters = parameters_,
                                .gradients = gradients_,
                                .angles = angles_,
                                .activations = activations.ptr});
  }

  const ModelDims& dims() const override { return layout_->dims; }
  const RunShape& shape() const override { return layout_->shape; }
  const ParameterTable& table() const override { return layout_->table; }
  Tensor parameters() const override { return parameters_; }
  Tensor gradients() const override { return gradients_; }

  void Initialize(uint64_t seed) override { InitializeParameters(layout_->table, seed, parameters_); }

  void Evaluate(const ModelInput& input, float* losses, int32_t* greedy) override {
    Context ctx(scratch_);
    network_->Forward(ctx, Checked(input));
    ctx.Run(LmHeadCrossEntropy{.x = network_->rows(),
                               .w = network_->head(),
                               .targets = Reshaped(input.targets, {rows()}),
                               .losses = Tensor(losses, DType::kF32, {rows()}),
                               .greedy = greedy == nullptr ? Tensor() : Tensor(greedy, DType::kI32, {rows()})});
  }

  double Accumulate(const ModelInput& input, float scale, float z_loss) override {
    INGOT_CHECK(shape().training, "this model was made without training");
    const NetworkInput in = Checked(input);
    Context ctx(scratch_);
    network_->Forward(ctx, in);
    ctx.Run(LmHeadCrossEntropy{.x = network_->rows(),
                               .w = network_->head(),
                               .targets = Reshaped(input.targets, {rows()}),
                               .losses = losses_,
                               .dx = network_->dx(),
                               .dw = network_->dhead(),
                               .scale = scale,
                               .z_loss = z_loss});
    network_->Backward(ctx, in);
    double sum = 0;
    for (int64_t r = 0; r < rows(); ++r) sum += losses_.data<float>()[r];
    return sum;
  }

 private:
  int64_t rows() const { return shape().B * shape().T; }

  NetworkInput Checked(const ModelInput& input) const {
    const int64_t B = shape().B, T = shape().T;
    INGOT_CHECK_SHAPE(input.tokens, B, T);
    INGOT_CHECK_SHAPE(input.targets, B, T);
    INGOT_CHECK_SHAPE(input.positions, B, T);
    INGOT_CHECK_OPTIONAL_SHAPE(input.document_start, B, T);
    return {.tokens = input.tokens, .positions = input.positions, .document_start = input.document_start};
  }

  std::unique_ptr<const Layout> layout_;  // the network refers to it
  Arena arena_;
  Tensor parameters_, gradients_, angles_, losses_, scratch_;
  std::unique_ptr<Network> network_;
};

absl::Status CheckShape(const ModelDims& dims, const RunShape& shape) {
  std::vector<std::string> problems = Problems(dims);
  if (shape.B < 1) problems.push_back(absl::StrCat("micro-batch: expected at least 1 sequence, found ", shape.B));
  if (shape.T < 1 || shape.T > dims.T) {
    problems.push_back(absl::StrCat("sequence length: expected 1 to ", dims.T, " (the context), found ", shape.T));
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
}

}  // namespace

int64_t MemoryPlan::total() const {
  int64_t sum = 0;
  for (const MemoryEntry& entry : entries) sum += entry.bytes;
  return sum;
}

std::string MemoryPlan::ToString() const {
  std::string table;
  const auto line = [&](const std::string& name, int64_t bytes) {
    absl::StrAppendFormat(&table, "%-32s %10.1f MiB\n", name, static_cast<double>(bytes) / (1 << 20));
  };
  for (const MemoryEntry& entry : entries) line(entry.name, entry.bytes);
  line("total", total());
  return table;
}

Tensor ViewOf(const Tensor& flat, const ParameterSpec& spec) {
  return spec.shape.size() == 1 ? Slice(flat, spec.offset, {spec.shape[0]})
                                : Slice(flat, spec.offset, {spec.shape[0], spec.shape[1]});
}

MemoryPlan Model::Plan(const ModelDims& dims, const RunShape& shape) { return Layout(dims, shape).Plan(); }

absl::StatusOr<std::unique_ptr<Model>> Model::Create(const ModelDims& dims, const RunShape& shape) {
  INGOT_RETURN_IF_ERROR(CheckShape(dims, shape));
  auto layout = std::make_unique<const Layout>(dims, shape);
  const MemoryPlan plan = layout->Plan();
  INGOT_ASSIGN_OR_RETURN(Arena arena, Arena::Create("model", plan.total()));
  return std::make_unique<PlannedModel>(std::move(layout), std::move(arena));
}

}  // namespace ingot
