#pragma once
// The angles of rotary positions as a table, for QkvRope. Internal to core/model.
#include "core/base/tensor.h"

namespace ingot {

//   angle = p * theta^(-2j / D);  angles[p, j, :] = cos(angle), sin(angle)
// Frequency and angle are rounded to fp32 before the cosine, as the transformers classes round them: a model exported
// to them computes the same positions also far from the start. angles: (P, D/2, 2) =
void FillRopeAngles(float theta, const Tensor& angles);

}  // namespace ingot
