#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>

#include "core/base/check.h"
#include "kernels/cuda/tensor_map.h"

namespace ingot::cuda {
namespace {

constexpr unsigned kSinceVersion = 12000;  // of CUDA, the first with tensor maps

// By the runtime, so that nothing links the driver's library; null where the driver is too old or absent.
decltype(&cuTensorMapEncodeTiled) Encoder() {
  static const auto encoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSinceVersion, cudaEnableDefault, &found);
    const bool usable = error == cudaSuccess && found == cudaDriverEntryPointSuccess;
    return usable ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function) : nullptr;
  }();
  return encoder;
}

int Attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) {
    return 0;
  }
  return value;
}

CUtensorMapSwizzle CodeOf(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::k32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case Swizzle::k64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::k128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    default:
      return CU_TENSOR_MAP_SWIZZLE_NONE;
  }
}

CUtensorMapDataType CodeOf(DType dtype) {
  if (dtype == DType::kF32) return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  return dtype == DType::kBf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_UINT8;
}

}  // namespace

TensorMap MakeTensorMap(const TensorMapLayout& layout) {
  CheckTensorMapLayout(layout);
  INGOT_CHECK(Encoder() != nullptr, "the driver makes no tensor maps; HasSm90() says so before");
  cuuint64_t sizes[kMostTensorDimensions], strides[kMostTensorDimensions];
  cuuint32_t box[kMostTensorDimensions], steps[kMostTensorDimensions];
  for (int d = 0; d < layout.rank; ++d) {
    sizes[d] = static_cast<cuuint64_t>(layout.sizes[d]);
    if (d > 0) strides[d - 1] = static_cast<cuuint64_t>(layout.strides[d] * SizeOf(layout.dtype));
    box[d] = static_cast<cuuint32_t>(layout.box[d]);
    steps[d] = 1;
  }
  CUtensorMap map;
  const CUresult result =
      Encoder()(&map, CodeOf(layout.dtype), static_cast<cuuint32_t>(layout.rank), const_cast<void*>(layout.base), sizes,
                strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CodeOf(layout.swizzle),
                CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  INGOT_CHECK(result == CUDA_SUCCESS, "cuTensorMapEncodeTiled says %d", static_cast<int>(result));
  TensorMap copy;
  static_assert(sizeof map == sizeof copy.bytes);
  std::memcpy(copy.bytes, &map, sizeof map);
  return copy;
}

bool HasSm90() {
  const int major = Attribute(cudaDevAttrComputeCapabilityMajor), minor = Attribute(cudaDevAttrComputeCapabilityMinor);
  return major == 9 && minor == 0 && Encoder() != nullptr;
}

int Multiprocessors() { return Attribute(cudaDevAttrMultiProcessorCount); }

}  // namespace ingot::cuda
