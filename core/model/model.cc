#include "core/model/model.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/arena.h"
#include "core/base/status_macros.h"
#include "core/model/activation_plan.h"
#include "core/model/fp8_problems.h"
#include "core/model/fp8_weights.h"
#include "core/model/initialize.h"
#include "core/model/network.h"
#include "core/model/rope.h"
#include "kernels/cast.h"
#include "kernels/cuda/gemm_fp8.h"
#include "kernels/cuda/repeated_work.h"
#include "kernels/fill.h"
#include "kernels/lm_head_cross_entropy.h"

namespace ingot {
namespace {

bool HasAngles(const ModelDims& dims) { return dims.architecture == Architecture::kLlama; }

LmHeadCrossEntropy HeadOf(const Network& network, const Tensor& targets, const Tensor& losses) {
  const Fp8Matrix w8 = network.fp8_head();
  return {.x = network.rows(),
          .w = w8.absent() ? network.head() : Tensor(),
          .targets = targets,
          .losses = losses,
          .w8 = w8};
}

// The largest scratch that an op of a forward and backward asks for: the same code, run on null pointers.
int64_t ScratchBytes(const ModelDims& dims, const RunShape& shape, const ParameterTable& table,
                     const ActivationPlan& plan, const Fp8Weights& fp8_weights) {
  int64_t most = 0;
  Context ctx = Context::Describe([&](const OpRecord& op) { most = std::max(most, op.scratch_bytes); }, shape.device);
  const Tensor working(nullptr, shape.dtype, {table.flat_size}), gradients(nullptr, DType::kF32, {table.flat_size});
  const Tensor ids(nullptr, DType::kI32, {shape.B, shape.T});
  const int64_t R = shape.B * shape.T;
  const auto network =
      Network::Create({.dims = dims,
                       .shape = shape,
                       .table = table,
                       .plan = plan,
                       .fp8_weights = fp8_weights,
                       .parameters = working,
                       .gradients = shape.training ? gradients : Tensor(),
                       .angles = HasAngles(dims) ? Tensor(nullptr, DType::kF32, {shape.T, dims.D / 2, 2}) : Tensor()});
  const NetworkInput input = {.tokens = ids, .positions = ids, .document_start = ids};
  network->Forward(ctx, input);
  const Tensor targets(nullptr, DType::kI32, {R}), losses(nullptr, DType::kF32, {R});
  LmHeadCrossEntropy head = HeadOf(*network, targets, losses);
  head.greedy = targets;
  head.dx = network->dx();
  head.dw = network->dhead();
  ctx.Run(head);
  if (shape.training) network->Backward(ctx, input);
  return most;
}

// All that a model needs to know before it takes memory.
struct Layout {
  Layout(const ModelDims& d, const RunShape& s)
      : dims(d),
        shape(s),
        table(MakeParameterTable(dims)),
        windows(table),
        activations(ListActivations(dims, shape), dims.L),
        fp8_weights(dims, shape),
        scratch(ScratchBytes(dims, shape, table, activations, fp8_weights)) {}

  int64_t angle_bytes() const { return HasAngles(dims) ? shape.T * dims.D * 4 : 0; }
  // Elements that are kept, and of windows.
  int64_t kept_parameters() const { return shape.shard.parameters ? shape.shard.size() : table.flat_size; }
  int64_t kept_gradients() const { return shape.shard.gradients ? shape.shard.size() : table.flat_size; }
  bool works_on_copy() const { return shape.dtype != DType::kF32; }
  // Tokens, targets, positions, starts of documents, losses, most likely ids: 4 bytes a row each.
  int64_t batch_bytes() const { return 6 * Arena::Aligned(shape.B * shape.T * 4); }

  MemoryPlan Plan() const {
    MemoryPlan plan;
    const auto add = [&](const std::string& name, int64_t bytes) {
      if (bytes > 0) plan.entries.push_back({name, Arena::Aligned(bytes)});
    };
    const int64_t working = SizeOf(shape.dtype);
    add("parameters", kept_parameters() * 4);
    add(absl::StrCat("parameters in ", Name(shape.dtype)), works_on_copy() ? kept_parameters() * working : 0);
    add("parameters in 8 bits", fp8_weights.bytes());
    add("gradients", shape.training ? kept_gradients() * 4 : 0);
    add("windows on parameters", shape.shard.parameters ? windows.size() * working : 0);
    add("windows on gradients", shape.shard.gradients ? windows.size() * 4 : 0);
    add("activations kept for backward", activations.kept_bytes());
    add("temporary activations", activations.temporary_bytes());
    add("rotary angles", angle_bytes());
    add("batch and losses", batch_bytes());
    add("scratch", scratch);
    return plan;
  }

  ModelDims dims;
  RunShape shape;
  ParameterTable table;
  FlatWindows windows;
  ActivationPlan activations;
  Fp8Weights fp8_weights;
  int64_t scratch;
};

class PlannedModel : public Model {
 public:
  PlannedModel(std::unique_ptr<const Layout> layout, std::shared_ptr<const Backend> backend, Arena arena)
      : layout_(std::move(layout)), backend_(std::move(backend)), arena_(std::move(arena)) {
    const RunShape& s = layout_->shape;
    const int64_t kept = layout_->kept_parameters(), window = layout_->windows.size();
    parameters_ = arena_.Take("parameters", DType::kF32, {kept});
    working_ = layout_->works_on_copy() ? arena_.Take("working parameters", s.dtype, {kept}) : parameters_;
    if (s.fp8.any()) fp8_weights_ = arena_.Take("fp8 parameters", DType::kU8, {layout_->fp8_weights.bytes()});
    if (s.training) gradients_ = arena_.Take("gradients", DType::kF32, {layout_->kept_gradients()});
    if (s.shard.parameters) parameter_windows_ = arena_.Take("windows on parameters", s.dtype, {window});
    if (s.shard.gradients) gradient_windows_ = arena_.Take("windows on gradients", DType::kF32, {window});
    activations_ = arena_.Take("activations", DType::kU8, {layout_->activations.bytes()});
    if (HasAngles(dims())) angles_ = arena_.Take("angles", DType::kF32, {s.T, dims().D / 2, 2});
    for (Tensor* ids : {&input_.tokens, &input_.targets, &input_.positions, &input_.document_start}) {
      *ids = arena_.Take("batch", DType::kI32, {s.B, s.T});
    }
    losses_ = arena_.Take("losses", DType::kF32, {s.B * s.T});
    greedy_ = arena_.Take("most likely ids", DType::kI32, {s.B * s.T});
    scratch_ = arena_.Take("scratch", DType::kU8, {layout_->scratch});
    host_losses_.resize(s.B * s.T);
    micro_step_ = &MicroStepTo(s.shard.gradients ? FlatBuffer(gradient_windows_, &layout_->windows) : gradients_);
  }

  // What stands between the parameters in the flat buffer stays zero for ever.
  absl::Status FillConstants() {
    INGOT_RETURN_IF_ERROR(backend_->FillZero(parameters_));
    if (shape().shard.gradients) INGOT_RETURN_IF_ERROR(backend_->FillZero(gradients_));
    if (!HasAngles(dims())) return absl::OkStatus();
    INGOT_ASSIGN_OR_RETURN(const HostCopy angles, HostCopy::Create(backend_, angles_));
    FillRopeAngles(dims().rope_theta, angles.tensor());
    return angles.Upload();
  }

  const ModelDims& dims() const override { return layout_->dims; }
  const RunShape& shape() const override { return layout_->shape; }
  const ParameterTable& table() const override { return layout_->table; }
  const std::shared_ptr<const Backend>& backend() const override { return backend_; }
  Tensor parameters() const override { return parameters_; }
  Tensor gradients() const override { return gradients_; }
  Tensor working_parameters() const override { return working_; }
  const FlatWindows& windows() const override { return layout_->windows; }
  Tensor parameter_windows() const override { return parameter_windows_; }
  Tensor gradient_windows() const override { return gradient_windows_; }
  void set_hooks(LayerHooks* hooks) override {
    INGOT_CHECK(hooks == nullptr || !shape().cuda_graph, "a graph calls nobody between its layers");
    hooks_ = hooks;
    for (const auto& [place, micro_step] : micro_steps_) micro_step->network->set_hooks(hooks);
  }

  absl::Status Initialize(uint64_t seed) override {
    INGOT_ASSIGN_OR_RETURN(const HostCopy parameters, HostCopy::Create(backend_, parameters_));
    InitializeParameters(layout_->table, seed, parameters.tensor(), parameters_begin());
    INGOT_RETURN_IF_ERROR(parameters.Upload());
    RefreshWorkingParameters();
    return absl::OkStatus();
  }

  void RefreshWorkingParameters() override {
    WorkingParametersWritten();
    if (!layout_->works_on_copy()) return;
    Context ctx = backend_->MakeContext();
    ctx.Run(Cast{.x = parameters_, .y = working_});
  }

  void WorkingParametersWritten() override { fp8_is_old_ = shape().fp8.any(); }

  absl::Status Evaluate(const ModelInput& input, float* losses, int32_t* greedy) override {
    INGOT_ASSIGN_OR_RETURN(const NetworkInput in, OnDevice(input));
    Context ctx = backend_->MakeContext(scratch_);
    RoundWeights(ctx);
    network().Forward(ctx, in);
    LmHeadCrossEntropy head = LossesOp();
    if (greedy != nullptr) head.greedy = greedy_;
    ctx.Run(head);
    INGOT_RETURN_IF_ERROR(HooksStatus());
    INGOT_RETURN_IF_ERROR(backend_->CopyOut(losses, losses_));
    return greedy == nullptr ? absl::OkStatus() : backend_->CopyOut(greedy, greedy_);
  }

  void ZeroGradients() override {
    Context ctx = backend_->MakeContext();
    ctx.Run(Fill{.y = gradients_, .value = 0});
  }

  void AddGradientsTo(const Tensor& flat) override {
    INGOT_CHECK(shape().training && !shape().shard.gradients, "this model adds to windows or not at all");
    INGOT_CHECK_SHAPE(flat, layout_->table.flat_size);
    micro_step_ = &MicroStepTo(flat);
  }

  absl::StatusOr<double> Accumulate(const ModelInput& input, float scale, float z_loss) override {
    INGOT_CHECK(shape().training, "this model was made without training");
    INGOT_ASSIGN_OR_RETURN(const NetworkInput in, OnDevice(input));
    INGOT_RETURN_IF_ERROR(ForwardAndBackward(in, {scale, z_loss, !in.document_start.absent()}));
    INGOT_RETURN_IF_ERROR(backend_->CopyOut(host_losses_.data(), losses_));
    double sum = 0;
    for (const float loss : host_losses_) sum += loss;
    return sum;
  }

 private:
  int64_t rows() const { return shape().B * shape().T; }
  LmHeadCrossEntropy LossesOp() const { return HeadOf(network(), Reshaped(input_.targets, {rows()}), losses_); }
  // Once for each update of the parameters, outside of a graph.
  void RoundWeights(Context& ctx) {
    if (std::exchange(fp8_is_old_, false)) network().RoundWeights(ctx);
  }
  absl::Status HooksStatus() const { return hooks_ == nullptr ? absl::OkStatus() : hooks_->status(); }
  FlatBuffer ReadBuffer() const {
    return shape().shard.parameters ? FlatBuffer(parameter_windows_, &layout_->windows) : FlatBuffer(working_);
  }

  // What the kernels of a micro-step are told, beside memory that stays where it is.
  struct Told {
    float scale = 0, z_loss = 0;
    bool documents = false;
    bool operator==(const Told&) const = default;
  };
  // Forward and backward, which leaves its gradients in one place.
  struct MicroStep {
    std::unique_ptr<Network> network;
    Told told;
    cuda::RepeatedWork work;
  };

  Network& network() const { return *micro_step_->network; }
  MicroStep& MicroStepTo(const FlatBuffer& gradients) {
    std::unique_ptr<MicroStep>& made = micro_steps_[gradients.flat.ptr];
    if (made != nullptr) return *made;
    made.reset(new MicroStep{.network = Network::Create({.dims = layout_->dims,
                                                         .shape = layout_->shape,
                                                         .table = layout_->table,
                                                         .plan = layout_->activations,
                                                         .fp8_weights = layout_->fp8_weights,
                                                         .parameters = ReadBuffer(),
                                                         .gradients = gradients,
                                                         .angles = angles_,
                                                         .activations = activations_.ptr,
                                                         .fp8 = fp8_weights_.ptr}),
                             .told = {},
                             .work = cuda::RepeatedWork(backend_->MakeContext().stream())});
    made->network->set_hooks(hooks_);
    return *made;
  }

  absl::Status ForwardAndBackward(const NetworkInput& in, const Told& told) {
    const auto enqueue = [&] {
      Context ctx = backend_->MakeContext(scratch_);
      network().Forward(ctx, in);
      LmHeadCrossEntropy head = LossesOp();
      head.dx = network().dx();
      head.dw = network().dhead();
      head.scale = told.scale;
      head.z_loss = told.z_loss;
      ctx.Run(head);
      network().Backward(ctx, in);
    };
    Context ctx = backend_->MakeContext();
    RoundWeights(ctx);
    if (!shape().cuda_graph) {
      enqueue();
      return HooksStatus();
    }
    if (micro_step_->told != told) micro_step_->work.Forget();
    micro_step_->told = told;
    const absl::Status done = micro_step_->work.Enqueue(enqueue);
    return done.ok() ? done
                     : absl::Status(done.code(), absl::StrCat(std::string(done.message()),
                                                              "; training.cuda_graph=false does without a graph"));
  }

  // The batch copied to where the ops read it.
  absl::StatusOr<NetworkInput> OnDevice(const ModelInput& input) {
    const auto copy = [this](const Tensor& from, const Tensor& to) {
      INGOT_CHECK_SHAPE(from, shape().B, shape().T);
      return backend_->CopyIn(to, from.data<int32_t>());
    };
    INGOT_RETURN_IF_ERROR(copy(input.tokens, input_.tokens));
    INGOT_RETURN_IF_ERROR(copy(input.targets, input_.targets));
    INGOT_RETURN_IF_ERROR(copy(input.positions, input_.positions));
    const bool documents = !input.document_start.absent();
    if (documents) INGOT_RETURN_IF_ERROR(copy(input.document_start, input_.document_start));
    return NetworkInput{.tokens = input_.tokens,
                        .positions = input_.positions,
                        .document_start = documents ? input_.document_start : Tensor()};
  }

  std::unique_ptr<const Layout> layout_;  // the network refers to it
  std::shared_ptr<const Backend> backend_;
  Arena arena_;
  Tensor parameters_, working_, fp8_weights_, gradients_, parameter_windows_, gradient_windows_, activations_, angles_,
      losses_, greedy_, scratch_;
  ModelInput input_;  // on the device
  std::vector<float> host_losses_;
  LayerHooks* hooks_ = nullptr;
  bool fp8_is_old_ = false;                                  // fp8_weights_ are of earlier parameters
  std::map<void*, std::unique_ptr<MicroStep>> micro_steps_;  // by where they leave gradients
  MicroStep* micro_step_ = nullptr;                          // one of them
};

void CheckFp8(const ModelDims& dims, const RunShape& shape, std::vector<std::string>& problems) {
  for (std::string& problem : Fp8Problems(dims, shape.B * shape.T, shape.fp8)) problems.push_back(std::move(problem));
  if (shape.shard.parameters) {
    problems.push_back("products of 8 bits: expected all parameters in each process, found a shard of them");
  }
}

absl::Status CheckShape(const ModelDims& dims, const RunShape& shape) {
  std::vector<std::string> problems = Problems(dims);
  if (shape.B < 1) problems.push_back(absl::StrCat("micro-batch: expected at least 1 sequence, found ", shape.B));
  if (shape.T < 1 || shape.T > dims.T) {
    problems.push_back(absl::StrCat("sequence length: expected 1 to ", dims.T, " (the context), found ", shape.T));
  }
  if (shape.device == Device::kCpu && shape.dtype != DType::kF32) {
    problems.push_back(
        absl::StrCat("precision: expected f32, all that the CPU computes in, found ", Name(shape.dtype)));
  }
  if (shape.device == Device::kCpu && shape.cuda_graph) {
    problems.push_back("CUDA graph: expected none on the CPU, found one");
  }
  if (shape.fp8.any()) CheckFp8(dims, shape, problems);
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
  INGOT_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> backend, Backend::Create(shape.device));
  if (shape.fp8.any() && shape.device == Device::kCuda && cuda::WhyNoFp8()[0] != '\0') {
    return absl::FailedPreconditionError(absl::StrCat(cuda::WhyNoFp8(), "; precision.compute=bf16 does without"));
  }
  INGOT_ASSIGN_OR_RETURN(Arena arena, backend->CreateArena("model", plan.total()));
  auto model = std::make_unique<PlannedModel>(std::move(layout), std::move(backend), std::move(arena));
  INGOT_RETURN_IF_ERROR(model->FillConstants());
  return model;
}

}  // namespace ingot
