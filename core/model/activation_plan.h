#pragma once
// What the activations of a network are, how long each lives and where it lies: made from the shapes alone, before
// anything is allocated. Internal to core/model.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/tensor.h"
#include "core/model/dims.h"
#include "core/model/model.h"

namespace ingot {

// The ops of a block in the order they run, then those behind the last block. A block's forward and backward stand side
// by side because no temporary of a block lives while another block or the head runs.
enum class Op {
  kNorm1,
  kQkv,
  kHeads,
  kAttention,
  kProjection,
  kNorm2,
  kUp,
  kActivation,
  kDown,
  kDownBackward,
  kActivationBackward,
  kUpBackward,
  kNorm2Backward,
  kProjectionBackward,
  kAttentionBackward,
  kHeadsBackward,
  kQkvBackward,
  kNorm1Backward,
  kFinalNorm,
  kHead,
  kFinalNormBackward,
};

enum class Policy {
  kKeep,       // one for each layer, from its forward to its backward
  kRecompute,  // one for all layers, made again before a layer's backward
  kTemporary,  // one for all layers, within a forward or within a backward
};

struct ActivationSpec {
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::kF32;
  Op first = Op::kNorm1;  // the op that writes it, or reads it across the border of two blocks
  Op last = Op::kNorm1;
  Policy policy = Policy::kTemporary;
};

// The one list of the activations of both architectures.
std::vector<ActivationSpec> ListActivations(const ModelDims& dims, const RunShape& shape);

// Places for the listed activations: temporaries by their intervals, kept ones a region for each layer behind them.
class ActivationPlan {
 public:
  ActivationPlan(std::vector<ActivationSpec> specs, int64_t L);

  // The activation `name` of layer `l` in the memory at `base` (null for describing); absent if it is not listed.
  Tensor View(void* base, const std::string& name, int64_t l) const;

  int64_t kept_bytes() const { return L_ * layer_bytes_; }
  int64_t temporary_bytes() const { return temporary_bytes_; }
  int64_t bytes() const { return kept_bytes() + temporary_bytes_; }
  const std::vector<ActivationSpec>& specs() const { return specs_; }
  // From the start of the temporaries, or of the layer's region.
  int64_t offset(size_t i) const { return offsets_[i]; }
  int64_t size(size_t i) const;  // bytes of one layer's, with padding

 private:
  void PlaceTemporaries();

  std::vector<ActivationSpec> specs_;
  std::vector<int64_t> offsets_;
  int64_t L_;
  int64_t layer_bytes_ = 0;
  int64_t temporary_bytes_ = 0;
};

}  // namespace ingot
