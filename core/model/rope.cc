#include "core/model/rope.h"

#include <cmath>

namespace ingot {

void FillRopeAngles(float theta, const Tensor& angles) {
  const int64_t P = angles.dim(0), half = angles.dim(1);
  float* const out = angles.data<float>();
  for (int64_t j = 0; j < half; ++j) {
    const double exponent = static_cast<double>(j) / static_cast<double>(half);
    const float frequency = static_cast<float>(std::pow(static_cast<double>(theta), -exponent));
    for (int64_t p = 0; p < P; ++p) {
      const double angle = static_cast<float>(p) * frequency;
      out[(p * half + j) * 2] = static_cast<float>(std::cos(angle));
      out[(p * half + j) * 2 + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace ingot
