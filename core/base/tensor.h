#pragma once
// Tensor: a contiguous row-major view of memory that somebody else owns; passed by value. Free of Abseil.
#include <array>
#include <cstdint>
#include <initializer_list>

#include "core/base/check.h"
#include "core/base/dtype.h"

namespace ingot {

struct Tensor {
  static constexpr int kMaxRank = 4;

  void* ptr = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, kMaxRank> dims{};

  Tensor() = default;
  Tensor(void* memory, DType type, std::initializer_list<int64_t> shape)
      : ptr(memory), dtype(type), rank(static_cast<int>(shape.size())) {
    INGOT_CHECK(shape.size() <= kMaxRank, "rank %zu", shape.size());
    int i = 0;
    for (const int64_t size : shape) dims[i++] = size;
  }

  // An optional argument of an op that was not given. (In describe mode `ptr` is null but the rank is not 0.)
  bool absent() const { return rank == 0; }
  int64_t dim(int i) const {
    INGOT_CHECK(i < rank, "dim %d of a tensor of rank %d", i, rank);
    return dims[i];
  }
  template <typename Element>
  Element* data() const {
    INGOT_CHECK(absent() || dtype == DTypeOf<Element>::kValue, "tensor is %s", Name(dtype));
    return static_cast<Element*>(ptr);
  }
};

// Number of elements; 0 for an absent tensor.
inline int64_t Count(const Tensor& t) {
  int64_t count = t.absent() ? 0 : 1;
  for (int i = 0; i < t.rank; ++i) count *= t.dims[i];
  return count;
}

inline int64_t Bytes(const Tensor& t) { return Count(t) * SizeOf(t.dtype); }

// The same memory seen with another shape of as many elements.
inline Tensor Reshaped(const Tensor& t, std::initializer_list<int64_t> shape) {
  const Tensor view(t.ptr, t.dtype, shape);
  INGOT_CHECK(Count(view) == Count(t), "reshape changes the number of elements");
  return view;
}

// Elements [begin, begin + shape) of the flat memory of `t`.
inline Tensor Slice(const Tensor& t, int64_t begin, std::initializer_list<int64_t> shape) {
  Tensor view(t.ptr, t.dtype, shape);
  INGOT_CHECK(begin >= 0 && begin + Count(view) <= Count(t), "slice ends outside the tensor");
  if (t.ptr != nullptr) view.ptr = static_cast<char*>(t.ptr) + begin * SizeOf(t.dtype);
  return view;
}

inline bool HasShape(const Tensor& t, std::initializer_list<int64_t> shape) {
  if (t.rank != static_cast<int>(shape.size())) return false;
  int i = 0;
  for (const int64_t size : shape) {
    if (t.dims[i++] != size) return false;
  }
  return true;
}

// What an op costs, from its shapes alone: bytes moved to and from memory, floating-point operations.
struct Work {
  double bytes = 0;
  double flops = 0;
};

}  // namespace ingot

// INGOT_CHECK_SHAPE(x, R, C) or, for an argument that may be absent, INGOT_CHECK_OPTIONAL_SHAPE(x, R, C).
#define INGOT_CHECK_SHAPE(t, ...)                                                                               \
  INGOT_CHECK(::ingot::HasShape(t, {__VA_ARGS__}), "%s must be (%s); it has rank %d and begins %lld, %lld", #t, \
              #__VA_ARGS__, (t).rank, static_cast<long long>((t).dims[0]), static_cast<long long>((t).dims[1]))
#define INGOT_CHECK_OPTIONAL_SHAPE(t, ...)                \
  do {                                                    \
    if (!(t).absent()) INGOT_CHECK_SHAPE(t, __VA_ARGS__); \
  } while (0)
#define INGOT_CHECK_DTYPE(t, type)                                                                   \
  INGOT_CHECK((t).absent() || (t).dtype == (type), "%s must be %s, not %s", #t, ::ingot::Name(type), \
              ::ingot::Name((t).dtype))
