#include "kernels/cpu/vector_loops.h"

#include <algorithm>

#include "kernels/cpu/vector_math.h"

// The dynamic linker picks the clone. (g++'s ThreadSanitizer starts too late for that.)
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define INGOT_VECTOR_CLONES __attribute__((target_clones("avx512f", "default")))
#else
#define INGOT_VECTOR_CLONES
#endif

namespace ingot {
namespace {

constexpr int kLanes = 32;

// Adds halves until one is left.
inline float Fold(float* lanes) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

INGOT_VECTOR_CLONES float MaxOf(const float* x, int64_t n) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, x[0]);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
  }
  for (; i < n; ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

INGOT_VECTOR_CLONES float Dot(const float* a, const float* b, int64_t n) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (int lane = 0; i + lane < n; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  return Fold(lanes);
}

INGOT_VECTOR_CLONES float ExpInPlace(float* x, int64_t n, float shift) {
  for (int64_t i = 0; i < n; ++i) x[i] = Exp(x[i] - shift);
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane];
  }
  for (int lane = 0; i + lane < n; ++lane) lanes[lane] += x[i + lane];
  return Fold(lanes);
}

INGOT_VECTOR_CLONES void SoftmaxBackward(float* __restrict p, float* __restrict dp, int64_t n, float lse, float delta) {
  for (int64_t i = 0; i < n; ++i) {
    p[i] = Exp(p[i] - lse);
    dp[i] = p[i] * (dp[i] - delta);
  }
}

}  // namespace ingot
