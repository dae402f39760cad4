#pragma once
// LayerHooks: told by a model which layer it computes. Who keeps only a shard of the parameters brings a layer's weights
// in time, and takes its gradients away when they are complete.
#include <cstdint>

#include "absl/status/status.h"

namespace ingot {

class LayerHooks {
 public:
  virtual ~LayerHooks() = default;
  // Layer l is computed now: its weights must lie in their places. `next` is the layer behind it, -1: none.
  virtual void BeforeForward(int64_t l, int64_t next) = 0;
  // The same for its backward; its gradients are added to what lies in their places.
  virtual void BeforeBackward(int64_t l, int64_t next) = 0;
  // This micro-batch's gradients of layer l, or for l = L of what stands outside the layers, are complete.
  virtual void AfterBackward(int64_t l) = 0;
  // The first error of any of them. What was computed after it is worthless.
  virtual absl::Status status() const = 0;
};

}  // namespace ingot
