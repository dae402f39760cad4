#include "kernels/cuda/widened_product_emulator.h"

#include "kernels/cpu/blas.h"
#include "kernels/cpu/panels.h"

namespace ingot::cuda {
namespace {

template <typename Element>
std::vector<float> WidenedFrom(const Tensor& t) {
  const Element* const elements = t.data<Element>();
  std::vector<float> x(Count(t));
  for (size_t i = 0; i < x.size(); ++i) x[i] = ToFloat(elements[i]);
  return x;
}

}  // namespace

std::vector<float> Widened(const Tensor& t) {
  switch (t.dtype) {
    case DType::kBf16:
      return WidenedFrom<Bf16>(t);
    case DType::kE4m3:
      return WidenedFrom<E4m3>(t);
    case DType::kE5m2:
      return WidenedFrom<E5m2>(t);
    default:
      return std::vector<float>(t.data<float>(), t.data<float>() + Count(t));
  }
}

void StoreElement(const Tensor& t, int64_t i, float value) {
  if (t.dtype == DType::kBf16) {
    t.data<Bf16>()[i] = ToBf16(value);
  } else {
    t.data<float>()[i] = value;
  }
}

void Multiply(const WidenedProduct& product) {
  const int64_t stride_a = product.transpose_a ? product.M : product.K;
  const int64_t stride_b = product.transpose_b ? product.K : product.N;
  const PanelGrid grid = CutProduct(product.M, product.N);
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < grid.count(); ++i) {
    const auto [m, rows, n, columns] = grid.panel(i);
    Sgemm(product.transpose_a, product.transpose_b, rows, columns, product.K, product.alpha,
          product.a.data() + (product.transpose_a ? m : m * stride_a), stride_a,
          product.b.data() + (product.transpose_b ? n * stride_b : n), stride_b, product.beta,
          product.c.data() + m * product.N + n, product.N);
  }
}

}  // namespace ingot::cuda
