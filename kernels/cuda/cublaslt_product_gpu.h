#pragma once
// One product as cuBLASLt describes it.
#include <memory>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/cublaslt_gpu.h"
#include "kernels/cuda/gemm.h"

namespace ingot::cuda {

// cuBLASLt's matrices are column-major, which is a row-major one transposed: it is asked for c' = op(b)' op(a)', an
// (N, M) product of "A" = b and "B" = a.
class CublasLtProduct {
 public:
  static absl::StatusOr<CublasLtProduct> Create(const CublasLt& lt, const Gemm& gemm);

  // At most `most` algorithms that compute it within `workspace_bytes`, by the library's own guess of their speed. Only
  // those whose partial sums are of f32 and are added in a fixed order.
  absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> Algorithms(cublasLtHandle_t handle, int most,
                                                                          int64_t workspace_bytes) const;

  // On the tensors of `gemm`, whose shapes and types are those of Create().
  absl::Status Run(cublasLtHandle_t handle, const Gemm& gemm, const cublasLtMatmulAlgo_t& algorithm, void* workspace,
                   int64_t workspace_bytes, void* stream) const;

 private:
  template <typename Pointer>
  using Owned = std::unique_ptr<std::remove_pointer_t<Pointer>, cublasStatus_t (*)(Pointer)>;

  explicit CublasLtProduct(const CublasLt& lt)
      : lt_(lt),
        operation_(nullptr, lt.MatmulDescDestroy),
        a_(nullptr, lt.MatrixLayoutDestroy),
        b_(nullptr, lt.MatrixLayoutDestroy),
        c_(nullptr, lt.MatrixLayoutDestroy) {}

  absl::Status Describe(const Gemm& gemm);
  absl::Status DescribeMatrix(const Tensor& t, Owned<cublasLtMatrixLayout_t>& layout) const;

  const CublasLt& lt_;
  Owned<cublasLtMatmulDesc_t> operation_;
  Owned<cublasLtMatrixLayout_t> a_, b_, c_;
  bool is_aligned_ = false;
  bool sums_in_output_ = false;
};

}  // namespace ingot::cuda
