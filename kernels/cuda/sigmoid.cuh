#pragma once
#include "kernels/cuda/device.cuh"

namespace ingot {

// The sigmoid and 1 - sigmoid, which keeps its digits where the sigmoid is near 1.
struct SigmoidParts {
  float value, complement;
};
__device__ __forceinline__ SigmoidParts SigmoidAndComplement(float x) {
  const float e = Exp(-x), s = Divide(1.0f, 1.0f + e);
  return {s, x > 0.0f ? e * s : 1.0f - s};
}

}  // namespace ingot
