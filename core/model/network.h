#pragma once
// Network: one architecture's forward and backward, op by op, on memory given to it. Internal to core/model.
#include <memory>
#include <string>
#include <vector>

#include "core/model/activation_plan.h"
#include "core/model/dims.h"
#include "core/model/flat_windows.h"
#include "core/model/fp8_weights.h"
#include "core/model/layer_hooks.h"
#include "core/model/linear.h"
#include "core/model/model.h"
#include "core/model/parameter_table.h"
#include "kernels/context.h"

namespace ingot {

// One micro-batch as the ops read it.
struct NetworkInput {
  Tensor tokens;               // (B, T) i32
  Tensor positions;            // (B, T) i32
  Tensor document_start = {};  // (B, T) i32
};

// Keys and values of the tokens of one sequence that were fed before. Generation only.
struct KvCache {
  Tensor k;            // (L, K, P, D)
  Tensor v;            // (L, K, P, D)
  int64_t length = 0;  // tokens held
};

// Where a network finds its parameters or leaves their gradients: a whole flat buffer, or a window buffer.
struct FlatBuffer {
  FlatBuffer(const Tensor& memory = {}, const FlatWindows* places = nullptr) : flat(memory), windows(places) {}
  Tensor flat;
  const FlatWindows* windows;  // null: a whole buffer
};

// All that a network works on. In describe mode every pointer is null.
struct NetworkMemory {
  const ModelDims& dims;
  const RunShape& shape;
  const ParameterTable& table;
  const ActivationPlan& plan;
  const Fp8Weights& fp8_weights;
  FlatBuffer parameters;
  FlatBuffer gradients;         // absent unless training
  Tensor angles;                // (P, D/2, 2); absent for gpt2
  void* activations = nullptr;  // plan.bytes()
  void* fp8 = nullptr;          // fp8_weights.bytes()
  KvCache* cache = nullptr;     // attention reads and extends it if given; B = 1, no training
};

// Activations of one layer and their gradients, R = B * T. Operands of 8 bits have values only where others read them.
struct BlockActivations {
  Tensor x1, mean1, rstd1;   // (R, C), (R), (R)   stream into the block, its norm
  Operand n1;                // (R, C)
  Tensor qkv, q, k, v, lse;  // (R, (H+2K)D), (B, H, T, D), (B, K, T, D) twice, (B, H, T)
  Operand y;                 // (R, H*D)
  Tensor x2, mean2, rstd2;   // stream into the feed-forward half, its norm
  Operand n2;                // (R, C)
  Tensor up;                 // (R, 2F) gate and up, or (R, F)
  Operand h;                 // (R, F)
  Tensor dh, dn2, dy, dq, dk, dv, dn1;
  Operand dup, dqkv;  // of `up`, whose place its values take, and qkv
};

struct FinalActivations {
  Tensor x, mean, rstd, n;  // (R, C), (R), (R), (R, C)
  Operand dx;               // (R, C)  gradient of the residual stream, all the way down
};

class Network {
 public:
  static std::unique_ptr<Network> Create(const NetworkMemory& memory);
  virtual ~Network() = default;

  // Told of each layer from now on; null: nobody.
  void set_hooks(LayerHooks* hooks) { hooks_ = hooks; }

  // From tokens to the normed rows that the head reads.
  void Forward(Context& ctx, const NetworkInput& input);
  // From the gradient of those rows, left in dx() by the head, to the embedding: gradients +=.
  void Backward(Context& ctx, const NetworkInput& input);

  const Tensor& rows() const { return final_.n; }        // (R, C)
  const Tensor& dx() const { return final_.dx.values; }  // (R, C)
  // The head's weight (V, C): a matrix of its own, or the embedding.
  Tensor head() const { return View(memory_.parameters, head_name_); }
  Tensor dhead() const { return View(memory_.gradients, head_name_); }
  Fp8Matrix fp8_head() const { return memory_.fp8_weights.Head(memory_.fp8); }
  // All weights that products read as 8-bit operands are made of the parameters again.
  void RoundWeights(Context& ctx);

 protected:
  // `head_name`, `embedding_name`: Hugging Face names of the matrices.
  Network(const NetworkMemory& memory, const std::string& embedding_name);

  virtual void Embed(Context& ctx, const NetworkInput& input) = 0;
  // Norm to projection, x1 to x2. `before`: what is added to x1 first, in place; absent when x1 is complete.
  virtual void ForwardAttention(Context& ctx, const NetworkInput& input, int64_t l, const Tensor& before) = 0;
  // Norm and activation of the feed-forward half, x2 to h. `before`: what is added to x2 first, in place.
  virtual void ForwardUp(Context& ctx, int64_t l, const Tensor& before) = 0;
  // The last product, h to the next block's x1.
  virtual void ForwardDown(Context& ctx, int64_t l) = 0;
  virtual void ForwardFinalNorm(Context& ctx) = 0;

  virtual void BackwardFinalNorm(Context& ctx) = 0;
  virtual void BackwardFeedForward(Context& ctx, int64_t l) = 0;
  virtual void BackwardAttention(Context& ctx, const NetworkInput& input, int64_t l) = 0;
  virtual void BackwardEmbedding(Context& ctx, const NetworkInput& input) = 0;
  // n2 and h once more, from x2 and `up`.
  virtual void RecomputeMlp(Context& ctx, int64_t l) = 0;
  // A block's matrices, as Fp8Weights lists them.
  virtual Tensor BlockWeight(int64_t l, Fp8Weights::Matrix matrix) const = 0;

  Operand Weight(int64_t l, Fp8Weights::Matrix matrix) const {
    return {BlockWeight(l, matrix), memory_.fp8_weights.Of(memory_.fp8, l, matrix)};
  }

  // Attention within the batch, or over the cache.
  void Attend(Context& ctx, const NetworkInput& input, int64_t l) const;

  // The parameter `name` in a buffer; several that lie side by side as one matrix or vector.
  Tensor View(const FlatBuffer& buffer, const std::string& name) const;
  Tensor JointView(const FlatBuffer& buffer, const std::vector<std::string>& names) const;

  // (R, W) as (B, T, W); (B, T) as (R).
  Tensor BySequence(const Tensor& t) const { return Reshaped(t, {memory_.shape.B, memory_.shape.T, t.dim(1)}); }
  static Tensor Rows(const Tensor& t) { return Reshaped(t, {Count(t)}); }
  // The residual stream behind layer l.
  const Tensor& StreamAfter(int64_t l) const { return l + 1 < memory_.dims.L ? blocks_[l + 1].x1 : final_.x; }

  NetworkMemory memory_;
  std::vector<BlockActivations> blocks_;
  FinalActivations final_;

 private:
  BlockActivations ActivationsOf(int64_t l) const;
  Operand OperandOf(const std::string& name, int64_t l) const;
  void RecomputeBlock(Context& ctx, const NetworkInput& input, int64_t l);

  std::string head_name_;
  LayerHooks* hooks_ = nullptr;
};

// One constructor an architecture, each in its file.
std::unique_ptr<Network> MakeLlama(const NetworkMemory& memory);
std::unique_ptr<Network> MakeGpt2(const NetworkMemory& memory);

}  // namespace ingot
