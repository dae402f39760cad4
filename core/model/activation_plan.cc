#include "core/model/activation_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/arena.h"
#include "kernels/fp8_matrix.h"

namespace ingot {
namespace {

// Builds the list by the switches of a run.
class Lister {
 public:
  Lister(const ModelDims& dims, const RunShape& shape) : d_(dims), shape_(shape), R_(shape.B * shape.T) {}

  std::vector<ActivationSpec> List() {
    Stream();
    Attention();
    FeedForward();
    if (shape_.training) Gradients();
    return std::move(specs_);
  }

 private:
  // Statistics of rows stay in f32, whatever the activations are in.
  static bool IsStatistic(const std::string& name) {
    return name == "lse" || name.find("mean") != std::string::npos || name.find("rstd") != std::string::npos;
  }
  DType TypeOf(const std::string& name) const { return IsStatistic(name) ? DType::kF32 : shape_.dtype; }

  void Add(const std::string& name, std::vector<int64_t> shape, DType dtype, Op first, Op last, Policy policy) {
    specs_.push_back(
        {.name = name, .shape = std::move(shape), .dtype = dtype, .first = first, .last = last, .policy = policy});
  }
  void Temporary(const char* name, std::vector<int64_t> shape, Op first, Op last) {
    Add(name, std::move(shape), TypeOf(name), first, last, Policy::kTemporary);
  }

  // Written at `first`, read by forward until `last_forward`, by backward until `last_backward`.
  void ForBackward(const char* name, std::vector<int64_t> shape, Op first, Op last_forward, Op last_backward,
                   bool again) {
    if (!shape_.training) return Temporary(name, std::move(shape), first, last_forward);
    Add(name, std::move(shape), TypeOf(name), first, last_backward, again ? Policy::kRecompute : Policy::kKeep);
  }
  void Block(const char* name, std::vector<int64_t> shape, Op first, Op last_forward, Op last_backward) {
    ForBackward(name, std::move(shape), first, last_forward, last_backward, shape_.recompute_block);
  }
  void Mlp(const char* name, std::vector<int64_t> shape, Op first, Op last_forward, Op last_backward) {
    const bool again = shape_.recompute_block || shape_.recompute_mlp;
    ForBackward(name, std::move(shape), first, last_forward, last_backward, again);
  }

  // An operand of 8 bits, (R, width), of which forward's product reads the rows, backward's the columns.
  void Fp8(const std::string& name, int64_t width, Op first, Op last_forward, Op last_backward, bool again) {
    Add(name + ".rows", {R_, width}, DType::kE4m3, first, last_forward, Policy::kTemporary);
    const Policy policy = !shape_.training ? Policy::kTemporary : again ? Policy::kRecompute : Policy::kKeep;
    const Op last = shape_.training ? last_backward : last_forward;
    if (shape_.training) Add(name + ".columns", {width, R_}, DType::kE4m3, first, last, policy);
    Add(name + ".scales", {Fp8Matrix::Blocks(R_), Fp8Matrix::Blocks(width)}, DType::kF32, first, last, policy);
  }
  // A gradient that backward's products read.
  void Fp8Gradient(const std::string& name, int64_t width, Op first, Op last) {
    Add(name + ".rows", {R_, width}, shape_.fp8.gradients, first, last, Policy::kTemporary);
    Add(name + ".columns", {width, R_}, shape_.fp8.gradients, first, last, Policy::kTemporary);
    Add(name + ".scales", {Fp8Matrix::Blocks(R_), Fp8Matrix::Blocks(width)}, DType::kF32, first, last,
        Policy::kTemporary);
  }

  // x1 is the input of a block, x2 that of its feed-forward half: first the product that is added to the stream, then,
  // in place, the sum. x2 is read once more by the next block's first norm, so it holds its place all the time.
  void Stream() {
    const Op end = Op::kFinalNormBackward;
    ForBackward("x1", {R_, d_.C}, Op::kNorm1, end, Op::kNorm1Backward, false);
    if (shape_.training && !shape_.recompute_block) {
      Block("x2", {R_, d_.C}, Op::kNorm1, end, Op::kNorm2Backward);
    } else {
      Temporary("x2", {R_, d_.C}, Op::kNorm1, end);
    }
    Temporary("final_x", {R_, d_.C}, Op::kNorm1, end);
    Temporary("final_rstd", {R_}, Op::kFinalNorm, end);
    Temporary("final_n", {R_, d_.C}, Op::kFinalNorm, Op::kHead);
    if (d_.architecture == Architecture::kGpt2) Temporary("final_mean", {R_}, Op::kFinalNorm, end);
  }

  void Attention() {
    const int64_t B = shape_.B, T = shape_.T, width = (d_.H + 2 * d_.K) * d_.D;
    if (d_.architecture == Architecture::kGpt2) Block("mean1", {R_}, Op::kNorm1, Op::kNorm1, Op::kNorm1Backward);
    Block("rstd1", {R_}, Op::kNorm1, Op::kNorm1, Op::kNorm1Backward);
    if (shape_.fp8.blocks) {
      Fp8("n1", d_.C, Op::kNorm1, Op::kQkv, Op::kQkvBackward, shape_.recompute_block);
      Fp8("y", d_.H * d_.D, Op::kProjection, Op::kProjection, Op::kProjectionBackward, shape_.recompute_block);
    } else {
      Block("n1", {R_, d_.C}, Op::kNorm1, Op::kQkv, Op::kQkvBackward);
    }
    if (d_.qk_norm) {
      Block("qkv", {R_, width}, Op::kQkv, Op::kHeads, Op::kQkvBackward);
    } else {
      Temporary("qkv", {R_, width}, Op::kQkv, Op::kHeads);
    }
    Block("q", {B, d_.H, T, d_.D}, Op::kHeads, Op::kAttention, Op::kAttentionBackward);
    Block("k", {B, d_.K, T, d_.D}, Op::kHeads, Op::kAttention, Op::kAttentionBackward);
    Block("v", {B, d_.K, T, d_.D}, Op::kHeads, Op::kAttention, Op::kAttentionBackward);
    Block("y", {R_, d_.H * d_.D}, Op::kAttention, Op::kProjection, Op::kAttentionBackward);
    Block("lse", {B, d_.H, T}, Op::kAttention, Op::kAttention, Op::kAttentionBackward);
  }

  void FeedForward() {
    const bool gated = d_.architecture == Architecture::kLlama;
    if (!gated) Block("mean2", {R_}, Op::kNorm2, Op::kNorm2, Op::kNorm2Backward);
    Block("rstd2", {R_}, Op::kNorm2, Op::kNorm2, Op::kNorm2Backward);
    Block("up", {R_, gated ? 2 * d_.F : d_.F}, Op::kUp, Op::kActivation, Op::kUpBackward);
    if (shape_.fp8.blocks) {
      const bool again = shape_.recompute_block || shape_.recompute_mlp;
      Fp8("n2", d_.C, Op::kNorm2, Op::kUp, Op::kUpBackward, again);
      Fp8("h", d_.F, Op::kActivation, Op::kDown, Op::kDownBackward, again);
      return;
    }
    Mlp("n2", {R_, d_.C}, Op::kNorm2, Op::kUp, Op::kUpBackward);
    // From the product on: it and the activation may be one kernel.
    Mlp("h", {R_, d_.F}, Op::kUp, Op::kDown, Op::kDownBackward);
  }

  // dx is the gradient of the residual stream, changed in place from the head down to the embedding.
  void Gradients() {
    const int64_t B = shape_.B, T = shape_.T, width = (d_.H + 2 * d_.K) * d_.D;
    const bool again = shape_.recompute_block || shape_.recompute_mlp;  // ops of the forward run while dx is needed
    Temporary("dx", {R_, d_.C}, again ? Op::kNorm1 : Op::kDownBackward, Op::kFinalNormBackward);
    const bool gated = d_.architecture == Architecture::kLlama;  // GELU's backward works in dh, SwiGLU's in `up`
    Temporary("dh", {R_, d_.F}, Op::kDownBackward, gated ? Op::kActivationBackward : Op::kUpBackward);
    Temporary("dn2", {R_, d_.C}, Op::kUpBackward, Op::kNorm2Backward);
    Temporary("dy", {R_, d_.H * d_.D}, Op::kProjectionBackward, Op::kAttentionBackward);
    Temporary("dq", {B, d_.H, T, d_.D}, Op::kAttentionBackward, Op::kHeadsBackward);
    Temporary("dk", {B, d_.K, T, d_.D}, Op::kAttentionBackward, Op::kHeadsBackward);
    Temporary("dv", {B, d_.K, T, d_.D}, Op::kAttentionBackward, Op::kHeadsBackward);
    if (!d_.qk_norm) Temporary("dqkv", {R_, width}, Op::kHeadsBackward, Op::kQkvBackward);
    Temporary("dn1", {R_, d_.C}, Op::kQkvBackward, Op::kNorm1Backward);
    if (!shape_.fp8.blocks) return;
    Fp8Gradient("dx", d_.C, Op::kDownBackward, Op::kProjectionBackward);
    Fp8Gradient("dup", gated ? 2 * d_.F : d_.F, Op::kActivationBackward, Op::kUpBackward);
    Fp8Gradient("dqkv", width, Op::kHeadsBackward, Op::kQkvBackward);
  }

  const ModelDims& d_;
  const RunShape& shape_;
  int64_t R_;
  std::vector<ActivationSpec> specs_;
};

bool Overlap(const ActivationSpec& a, const ActivationSpec& b) { return a.first <= b.last && b.first <= a.last; }

Tensor MakeTensor(const ActivationSpec& spec, void* memory) {
  Tensor tensor(memory, spec.dtype, {});
  tensor.rank = static_cast<int>(spec.shape.size());
  std::copy(spec.shape.begin(), spec.shape.end(), tensor.dims.begin());
  return tensor;
}

}  // namespace

std::vector<ActivationSpec> ListActivations(const ModelDims& dims, const RunShape& shape) {
  return Lister(dims, shape).List();
}

ActivationPlan::ActivationPlan(std::vector<ActivationSpec> specs, int64_t L)
    : specs_(std::move(specs)), offsets_(specs_.size()), L_(L) {
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].policy != Policy::kKeep) continue;
    offsets_[i] = layer_bytes_;
    layer_bytes_ += size(i);
  }
  PlaceTemporaries();
}

int64_t ActivationPlan::size(size_t i) const { return Arena::Aligned(Bytes(MakeTensor(specs_[i], nullptr))); }

// Greedy by size (Pisarchyk & Lee 2020, arXiv:2001.03288): the largest first, each at the lowest place that is free
// during all of its interval.
void ActivationPlan::PlaceTemporaries() {
  std::vector<size_t> order, placed;
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].policy != Policy::kKeep) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size(a) > size(b); });
  for (const size_t i : order) {
    int64_t place = 0;
    for (const size_t other : placed) {  // by rising offset
      if (!Overlap(specs_[i], specs_[other])) continue;
      if (place + size(i) <= offsets_[other]) break;
      place = std::max(place, offsets_[other] + size(other));
    }
    offsets_[i] = place;
    temporary_bytes_ = std::max(temporary_bytes_, place + size(i));
    const auto behind = std::find_if(placed.begin(), placed.end(), [&](size_t p) { return offsets_[p] > place; });
    placed.insert(behind, i);
  }
}

Tensor ActivationPlan::View(void* base, const std::string& name, int64_t l) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(), [&](const auto& spec) { return spec.name == name; });
  if (found == specs_.end()) return {};
  const int64_t start = found->policy == Policy::kKeep ? temporary_bytes_ + l * layer_bytes_ : 0;
  const int64_t offset = start + offsets_[found - specs_.begin()];
  return MakeTensor(*found, base == nullptr ? nullptr : static_cast<char*>(base) + offset);
}

}  // namespace ingot
