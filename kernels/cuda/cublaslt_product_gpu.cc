#include "kernels/cuda/cublaslt_product_gpu.h"

#include <utility>

#include "core/base/status_macros.h"

namespace ingot::cuda {
namespace {

cudaDataType_t TypeOf(const Tensor& t) { return t.dtype == DType::kBf16 ? CUDA_R_16BF : CUDA_R_32F; }

bool IsAligned(const Tensor& t) { return reinterpret_cast<uintptr_t>(t.ptr) % 16 == 0; }

// Of the product that the library is asked for, in which our a is "B".
cublasLtEpilogue_t EpilogueOf(const Gemm& gemm) {
  const bool bias = !gemm.bias.absent();
  switch (gemm.epilogue) {
    case GemmEpilogue::kGelu:
      return bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    case GemmEpilogue::kGeluGradient:
      return CUBLASLT_EPILOGUE_DGELU;
    case GemmEpilogue::kNone:
      break;
  }
  if (!gemm.a_sums.absent()) return CUBLASLT_EPILOGUE_BGRADB;
  return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

}  // namespace

absl::StatusOr<CublasLtProduct> CublasLtProduct::Create(const CublasLt& lt, const Gemm& gemm) {
  CublasLtProduct product(lt);
  INGOT_RETURN_IF_ERROR(product.Describe(gemm));
  return product;
}

absl::Status CublasLtProduct::Describe(const Gemm& gemm) {
  cublasLtMatmulDesc_t operation = nullptr;
  INGOT_RETURN_IF_ERROR(lt_.Check(lt_.MatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "an operation"));
  operation_.reset(operation);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    return lt_.Check(lt_.MatmulDescSetAttribute(operation, attribute, &value, sizeof(value)), "an operation");
  };
  const cublasOperation_t transpose_a = gemm.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t transpose_b = gemm.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_TRANSA, transpose_a));
  INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_TRANSB, transpose_b));
  INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE, EpilogueOf(gemm)));
  // One place holds the bias and the sums over K, of which a product has one at most.
  if (const Tensor& vector = gemm.a_sums.absent() ? gemm.bias : gemm.a_sums; !vector.absent()) {
    INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, TypeOf(vector)));
    INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector.ptr));
  }
  if (!gemm.aux.absent()) {
    INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, gemm.aux.ptr));
    INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, gemm.aux.dim(1)));
    INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, TypeOf(gemm.aux)));
  }
  is_aligned_ =
      IsAligned(gemm.aux) && IsAligned(gemm.a) && IsAligned(gemm.b) && IsAligned(gemm.c) && IsAligned(gemm.bias);
  sums_in_output_ = gemm.c.dtype == DType::kF32;
  INGOT_RETURN_IF_ERROR(DescribeMatrix(gemm.b, a_));
  INGOT_RETURN_IF_ERROR(DescribeMatrix(gemm.a, b_));
  return DescribeMatrix(gemm.c, c_);
}

absl::Status CublasLtProduct::DescribeMatrix(const Tensor& t, Owned<cublasLtMatrixLayout_t>& layout) const {
  cublasLtMatrixLayout_t made = nullptr;
  const auto rows = static_cast<uint64_t>(t.dim(1)), columns = static_cast<uint64_t>(t.dim(0));
  INGOT_RETURN_IF_ERROR(lt_.Check(lt_.MatrixLayoutCreate(&made, TypeOf(t), rows, columns, t.dim(1)), "a matrix"));
  layout.reset(made);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<cublasLtMatmulHeuristicResult_t>> CublasLtProduct::Algorithms(
    cublasLtHandle_t handle, int most, int64_t workspace_bytes) const {
  cublasLtMatmulPreference_t made = nullptr;
  INGOT_RETURN_IF_ERROR(lt_.Check(lt_.MatmulPreferenceCreate(&made), "a preference"));
  const Owned<cublasLtMatmulPreference_t> preference(made, lt_.MatmulPreferenceDestroy);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return lt_.Check(lt_.MatmulPreferenceSetAttribute(made, attribute, &value, sizeof(value)), "a preference");
  };
  INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes)));
  // Partial sums that are stored as bf16 are rounded at every part.
  const uint32_t sums_in_f32 = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const uint32_t all = CUBLASLT_REDUCTION_SCHEME_MASK;
  INGOT_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, sums_in_output_ ? all : sums_in_f32));
  const uint32_t alignment = is_aligned_ ? 16 : 2;
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    INGOT_RETURN_IF_ERROR(set(attribute, alignment));
  }
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(most));
  int count = 0;
  const cublasStatus_t status = lt_.MatmulAlgoGetHeuristic(handle, operation_.get(), a_.get(), b_.get(), c_.get(),
                                                           c_.get(), made, most, found.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) count = 0;
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) INGOT_RETURN_IF_ERROR(lt_.Check(status, "candidates for a product"));
  found.resize(static_cast<size_t>(count));
  std::erase_if(found, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

absl::Status CublasLtProduct::Run(cublasLtHandle_t handle, const Gemm& gemm, const cublasLtMatmulAlgo_t& algorithm,
                                  void* workspace, int64_t workspace_bytes, void* stream) const {
  return lt_.Check(lt_.Matmul(handle, operation_.get(), &gemm.alpha, gemm.b.ptr, a_.get(), gemm.a.ptr, b_.get(),
                              &gemm.beta, gemm.c.ptr, c_.get(), gemm.c.ptr, c_.get(), &algorithm, workspace,
                              static_cast<size_t>(workspace_bytes), static_cast<cudaStream_t>(stream)),
                   "a product");
}

}  // namespace ingot::cuda
