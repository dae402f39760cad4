#pragma once
// A block's linear layers: on the model's own number format or, where a run says so, on 8-bit operands. Internal to core/model.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

// What a product reads: values, or the same rounded to 8 bits where that is given.
struct Operand {
  Tensor values = {};
  Fp8Matrix fp8 = {};
};

// Rounds values that no op has rounded as it made them. Nothing where products read the values.
void Round(Context& ctx, const Operand& operand);

// MatmulForward or MatmulFp8Forward.
struct LinearForward {
  Operand x, w;
  Tensor bias = {};
  Tensor y;
  void Run(Context& ctx) const;
};

// MatmulBackward or MatmulFp8Backward; the gradient of the bias is that of dy's values.
struct LinearBackward {
  Operand dy, x, w;
  Tensor dx, dw;
  Tensor dbias = {};
  void Run(Context& ctx) const;
};

}  // namespace ingot
