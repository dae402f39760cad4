#pragma once
// The vector loops that attention and cross-entropy share, compiled for AVX2 and for AVX-512 and chosen by the
// processor: with AVX2 alone, exponentials are a third of attention's forward time. Sums are in 32 lanes written out
// by hand, so the bits are the same with either, and compilers need no leave to reorder. Thread safe.
#include <cstdint>

namespace ingot {

// Largest of x[0, n), n >= 1. NaN elements may be passed over: the exponentials that follow keep them.
float MaxOf(const float* x, int64_t n);

// sum_i a[i] * b[i]
float Dot(const float* a, const float* b, int64_t n);

// x[i] = exp(x[i] - shift); returns their sum.
float ExpInPlace(float* x, int64_t n, float shift);

// p[i] = exp(p[i] - lse);   dp[i] = p[i] * (dp[i] - delta)
void SoftmaxBackward(float* p, float* dp, int64_t n, float lse, float delta);

}  // namespace ingot
