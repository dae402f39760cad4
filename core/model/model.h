#pragma once
// Model: parameters, gradients and activations of one network, in memory planned before anything is allocated.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "core/base/tensor.h"
#include "core/model/backend.h"
#include "core/model/dims.h"
#include "core/model/flat_windows.h"
#include "core/model/layer_hooks.h"
#include "core/model/parameter_table.h"

namespace ingot {

// The elements of the flat buffers that a process keeps where several share a model. What it computes with and does not
// keep lies in windows (flat_windows.h), which LayerHooks fill and empty.
struct ModelShard {
  int64_t begin = 0, end = 0;  // multiples of 64
  bool gradients = false;      // of the gradients only the shard is kept
  bool parameters = false;     // of the parameters as well
  int64_t size() const { return end - begin; }
};

// Which products read operands of 8 bits (kernels/fp8_matrix.h): sums stay f32, and what they are added to is of the model's
// own format. Weights and activations are e4m3. Every width of a block and B * T must be multiples of 16.
struct Fp8Use {
  bool blocks = false;             // the linear layers of all blocks, forward and backward
  bool head = false;               // logits and their gradients
  DType gradients = DType::kE4m3;  // of gradients that products read: kE4m3, or kE5m2 for more range and one bit less
  bool any() const { return blocks || head; }
};

// What one call of the model works on.
struct RunShape {
  int64_t B = 1;
  int64_t T = 1;                 // <= dims.T
  bool training = false;         // gradients, and activations kept for backward
  bool recompute_block = false;  // keep only each block's input; run its forward again before its backward
  bool recompute_mlp = false;    // run the norm and the feed-forward activation again instead of keeping them
  Device device = Device::kCpu;
  bool cuda_graph = false;    // kCuda: Accumulate() is captured once and launched as a whole; the same bits
  DType dtype = DType::kF32;  // of activations and the weights that products read; kBf16 on kCuda only
  ModelShard shard = {};
  Fp8Use fp8 = {};  // not with shard.parameters
};

struct MemoryEntry {
  std::string name;  // "parameters", "activations kept for backward", "scratch", …
  int64_t bytes = 0;
};

struct MemoryPlan {
  std::vector<MemoryEntry> entries;
  int64_t total() const;
  std::string ToString() const;  // a table, a line an entry
};

// One micro-batch, on the host. All i32 (B, T).
struct ModelInput {
  Tensor tokens;
  Tensor targets;              // -1: no target
  Tensor positions;            // as in data_pipeline's TokenBatch
  Tensor document_start = {};  // absent: one document a sequence
};

class Model {
 public:
  // Memory that Create() would take, without taking it.
  static MemoryPlan Plan(const ModelDims& dims, const RunShape& shape);
  // Errors: what Problems(dims) says; memory the system does not have.
  static absl::StatusOr<std::unique_ptr<Model>> Create(const ModelDims& dims, const RunShape& shape);
  virtual ~Model() = default;

  virtual const ModelDims& dims() const = 0;
  virtual const RunShape& shape() const = 0;
  virtual const ParameterTable& table() const = 0;
  virtual const std::shared_ptr<const Backend>& backend() const = 0;
  // On the device of the model, what is kept: (flat_size), or (shard.size()).
  virtual Tensor parameters() const = 0;          // f32, the masters
  virtual Tensor gradients() const = 0;           // f32; absent unless training
  virtual Tensor working_parameters() const = 0;  // of shape().dtype, what products read; f32: parameters()
  // The element of the flat buffers that begins parameters() and working_parameters(), or gradients().
  int64_t parameters_begin() const { return shape().shard.parameters ? shape().shard.begin : 0; }
  int64_t gradients_begin() const { return shape().shard.gradients ? shape().shard.begin : 0; }
  // Where the shape has a shard, what is computed with: windows().size() elements each.
  virtual const FlatWindows& windows() const = 0;
  virtual Tensor parameter_windows() const = 0;  // of shape().dtype; absent unless shard.parameters
  virtual Tensor gradient_windows() const = 0;   // f32; absent unless shard.gradients
  // From now on told of each layer that is computed; null: nobody. Needed where the shape has a shard.
  virtual void set_hooks(LayerHooks* hooks) = 0;

  // Draws every parameter from Philox keyed by (seed, its place in the table): the same on any number of threads.
  virtual absl::Status Initialize(uint64_t seed) = 0;
  // Rounds parameters() into working_parameters(). To be called by whoever has written parameters(), unless they are f32
  // and so the same.
  virtual void RefreshWorkingParameters() = 0;
  // To be called by whoever has written working_parameters(): what was made of them is made again when it is needed.
  virtual void WorkingParametersWritten() = 0;

  // Forward only. losses: (B*T) nats, 0 where there is no target. greedy, if not null: (B*T) most likely next ids.
  // Errors here and below: what the device reports.
  virtual absl::Status Evaluate(const ModelInput& input, float* losses, int32_t* greedy) = 0;

  // Of all that is kept.
  virtual void ZeroGradients() = 0;
  // From now on Accumulate() adds to `flat`, f32 (flat_size) on the device, instead of to gradients(): where several sums
  // of gradients are kept, none has to be moved. Not where the shape has a shard of the gradients.
  virtual void AddGradientsTo(const Tensor& flat) = 0;
  // Forward and backward: gradients += d(scale * sum of losses + scale * z_loss * sum of lse^2). Returns the sum of
  // losses, in nats, added in a fixed order.
  virtual absl::StatusOr<double> Accumulate(const ModelInput& input, float scale, float z_loss) = 0;
};

// The part of the flat buffer `flat` that holds parameter `spec`, with its shape.
Tensor ViewOf(const Tensor& flat, const ParameterSpec& spec);

}  // namespace ingot
