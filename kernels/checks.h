#pragma once
// What the Check() of many ops asks, beside the shapes. Null pointers pass here: describe mode has nothing else.
#include <cstdint>
#include <initializer_list>

#include "core/base/tensor.h"

namespace ingot {

inline bool Overlap(const Tensor& a, const Tensor& b) {
  if (a.ptr == nullptr || b.ptr == nullptr) return false;
  const char *const p = static_cast<const char*>(a.ptr), *const q = static_cast<const char*>(b.ptr);
  return p < q + Bytes(b) && q < p + Bytes(a);
}

// No output shares memory with another one or with an input. Inputs that an output may be itself are left out and
// checked by INGOT_CHECK_SAME_OR_APART.
inline void CheckApart(const char* op, std::initializer_list<Tensor> outputs, std::initializer_list<Tensor> inputs) {
  int number = 0;
  for (const Tensor* output = outputs.begin(); output != outputs.end(); ++output, ++number) {
    for (const Tensor* other = outputs.begin(); other != output; ++other) {
      INGOT_CHECK(!Overlap(*output, *other), "%s: output %d shares memory with another output", op, number);
    }
    for (const Tensor& input : inputs) {
      INGOT_CHECK(!Overlap(*output, input), "%s: output %d shares memory with an input", op, number);
    }
  }
}

inline void CheckF32(const char* op, std::initializer_list<Tensor> tensors) {
  for (const Tensor& t : tensors) {
    INGOT_CHECK(t.absent() || t.dtype == DType::kF32, "%s: a tensor is %s, not f32", op, Name(t.dtype));
  }
}

// Activations and weights: all f32, or all bf16 (OnCuda only).
inline void CheckFloats(const char* op, std::initializer_list<Tensor> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor& t : tensors) {
    if (t.absent()) continue;
    INGOT_CHECK(t.dtype == DType::kF32 || t.dtype == DType::kBf16, "%s: a tensor is %s, not f32 or bf16", op,
                Name(t.dtype));
    if (first == nullptr) first = &t;
    INGOT_CHECK(t.dtype == first->dtype, "%s: one tensor is %s, another %s", op, Name(first->dtype), Name(t.dtype));
  }
}

// For OnCpu: every tensor that was given has memory.
inline void CheckMemory(const char* op, std::initializer_list<Tensor> tensors) {
  int number = 0;
  for (const Tensor& t : tensors) {
    INGOT_CHECK(t.ptr != nullptr || Count(t) == 0, "%s: tensor %d has no memory", op, number);
    ++number;
  }
}

}  // namespace ingot

#define INGOT_CHECK_SAME_OR_APART(a, b) \
  INGOT_CHECK((a).ptr == (b).ptr || !::ingot::Overlap(a, b), "%s and %s overlap without being the same", #a, #b)
