#include "tests/kernels/emulator/instruction_kernels_sm90.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/wgmma.cuh"
#include "tests/kernels/emulator/device_array.h"

namespace ingot {
namespace {

constexpr int kElements = 48 * 1024;

struct ImageShared {
  alignas(1024) uint16_t image[kElements];
  Mbarrier barrier;
};

__device__ __forceinline__ void FillShared(uint16_t* to, const uint16_t* from, int elements) {
  for (int i = static_cast<int>(threadIdx.x); i < elements; i += static_cast<int>(blockDim.x)) to[i] = from[i];
  FenceProxyAsync();
  __syncthreads();
}

struct WgmmaArgs {
  const uint16_t* image;
  const uint64_t *a, *b;
  const uint32_t* a_registers;
  float* d;
  int elements, steps;
};

// How a step is issued: descriptors of the tables, to which `base` is added.
template <bool kMMajor, bool kNMajor>
struct FromShared {
  template <int kRegisters>
  static __device__ __forceinline__ void Issue(const WgmmaArgs& args, float (&d)[kRegisters], int step, uint64_t base) {
    WgmmaM64K16<kMMajor, kNMajor>(d, args.a[step] + base, args.b[step] + base, step > 0);
  }
};
template <bool kNMajor>
struct FromRegisters {
  template <int kRegisters>
  static __device__ __forceinline__ void Issue(const WgmmaArgs& args, float (&d)[kRegisters], int step, uint64_t base) {
    uint32_t a[4];
    for (int i = 0; i < 4; ++i) a[i] = args.a_registers[(step * 128 + static_cast<int>(threadIdx.x)) * 4 + i];
    WgmmaM64K16<kNMajor>(d, a, args.b[step] + base, step > 0);
  }
};
template <typename A, typename B>
struct OfFp8 {
  template <int kRegisters>
  static __device__ __forceinline__ void Issue(const WgmmaArgs& args, float (&d)[kRegisters], int step, uint64_t base) {
    WgmmaM64K32<A, B>(d, args.a[step] + base, args.b[step] + base, step > 0);
  }
};

template <int kRegisters, typename Step>
__global__ void WgmmaKernel(const WgmmaArgs args) {
  auto& shared = SharedStorage<ImageShared>();
  FillShared(shared.image, args.image, args.elements);
  // Descriptors of the tables are for shared memory that begins at address 1024.
  const uint64_t base = (SharedAddress(shared.image) - 1024) >> 4;
  float d[kRegisters];
  for (int i = 0; i < kRegisters; ++i) d[i] = 5;  // overwritten by the first step
  WgmmaFence();
  for (int step = 0; step < args.steps; ++step) Step::Issue(args, d, step, base);
  WgmmaCommit();
  WgmmaWait<0>(d);
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = 0; i < kRegisters; ++i) args.d[thread * kRegisters + i] = d[i];
}

template <int kRank>
__global__ void TensorLoadKernel(const __grid_constant__ TensorMap map, const int* at, uint16_t* out, int elements,
                                 uint32_t bytes) {
  auto& shared = SharedStorage<ImageShared>();
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < elements; i += 128) shared.image[i] = 0xffff;
  FenceProxyAsync();
  if (thread == 0) {
    MbarrierInit(shared.barrier, 1);
    FenceMbarrierInit();
  }
  __syncthreads();
  if (thread == 0) {
    PrefetchTensorMap(map);
    MbarrierArriveExpect(shared.barrier, bytes);
    if constexpr (kRank == 2) TensorLoad(shared.image, map, shared.barrier, at[0], at[1]);
    if constexpr (kRank == 3) TensorLoad(shared.image, map, shared.barrier, at[0], at[1], at[2]);
    if constexpr (kRank == 4) TensorLoad(shared.image, map, shared.barrier, at[0], at[1], at[2], at[3]);
  }
  MbarrierWait(shared.barrier, 0);
  for (int i = thread; i < elements; i += 128) out[i] = shared.image[i];
  __syncthreads();
  if (thread == 0) MbarrierInvalidate(shared.barrier);
}

template <int kRank>
__global__ void TensorStoreKernel(const __grid_constant__ TensorMap map, const int* at, const uint16_t* image,
                                  int elements) {
  auto& shared = SharedStorage<ImageShared>();
  FillShared(shared.image, image, elements);
  if (threadIdx.x != 0) return;
  if constexpr (kRank == 2) TensorStore(map, shared.image, at[0], at[1]);
  if constexpr (kRank == 3) TensorStore(map, shared.image, at[0], at[1], at[2]);
  if constexpr (kRank == 4) TensorStore(map, shared.image, at[0], at[1], at[2], at[3]);
  BulkCommit();
  BulkWaitRead<0>();
}

__global__ void BulkKernel(const float* x, float* y, uint32_t bytes) {
  auto& shared = SharedStorage<ImageShared>();
  if (threadIdx.x != 0) return;
  MbarrierInit(shared.barrier, 1);
  FenceProxyAsync();
  MbarrierArriveExpect(shared.barrier, bytes);
  BulkLoad(shared.image, x, bytes, shared.barrier);
  MbarrierWait(shared.barrier, 0);
  BulkStore(y, shared.image, bytes);
  BulkCommit();
  BulkWait<0>();
}

__global__ void DescriptorKernel(int offset, int leading, int stride, Swizzle swizzle, int advance, uint64_t* out) {
  auto& shared = SharedStorage<ImageShared>();
  const uint64_t made = MatrixDescriptor(reinterpret_cast<char*>(shared.image) + offset, leading, stride, swizzle);
  out[0] = Advanced(made, advance) - ((SharedAddress(shared.image) - 1024) >> 4);
}

__global__ void ParityKernel(int* out) {
  auto& shared = SharedStorage<ImageShared>();
  MbarrierInit(shared.barrier, 1);
  for (int phases = 0; phases < 4; ++phases) {
    // A wait for the phase that runs would not end: only the other parity is asked for.
    const uint32_t complete = static_cast<uint32_t>(phases + 1) % 2;
    out[phases] = MbarrierTryWait(shared.barrier, complete) ? static_cast<int>(complete) : -1;
    MbarrierArrive(shared.barrier);
  }
}

// Two warpgroups want more registers than there are until the third has given its own back.
__global__ void __launch_bounds__(384, 1) RegistersKernel(int* passed) {
  if (threadIdx.x < 256) {
    RegistersTake<232>();
  } else {
    RegistersGiveBack<40>();
  }
  atomicAdd(passed, 1);
}

template <int kRegisters, typename Step>
std::vector<float> LaunchWgmma(const WgmmaCase& wgmma) {
  const DeviceArray<uint16_t> image("image", wgmma.shared);
  const DeviceArray<uint64_t> a("a", wgmma.a.empty() ? wgmma.b : wgmma.a), b("b", wgmma.b);
  const DeviceArray<uint32_t> a_registers("a_registers", wgmma.a.empty() ? wgmma.a_registers : Registers(1));
  const DeviceArray<float> d("d", std::vector<float>(size_t{128} * kRegisters));
  const WgmmaArgs args{.image = image.data(),
                       .a = a.data(),
                       .b = b.data(),
                       .a_registers = a_registers.data(),
                       .d = d.data(),
                       .elements = static_cast<int>(wgmma.shared.size()),
                       .steps = static_cast<int>(wgmma.b.size())};
  Launch(WgmmaKernel<kRegisters, Step>, LaunchConfig{.block = 128, .shared = sizeof(ImageShared)}, args);
  return d.Values();
}

template <int kRegisters>
std::vector<float> LaunchWgmmaOfMajors(const WgmmaCase& wgmma) {
  if (!wgmma.a_registers.empty()) {
    if constexpr (kRegisters <= 64) {
      return wgmma.n_major ? LaunchWgmma<kRegisters, FromRegisters<true>>(wgmma)
                           : LaunchWgmma<kRegisters, FromRegisters<false>>(wgmma);
    }
  }
  if (wgmma.m_major) {
    return wgmma.n_major ? LaunchWgmma<kRegisters, FromShared<true, true>>(wgmma)
                         : LaunchWgmma<kRegisters, FromShared<true, false>>(wgmma);
  }
  return wgmma.n_major ? LaunchWgmma<kRegisters, FromShared<false, true>>(wgmma)
                       : LaunchWgmma<kRegisters, FromShared<false, false>>(wgmma);
}

template <int kRegisters>
std::vector<float> LaunchWgmmaOfTypes(const WgmmaCase& wgmma) {
  if (wgmma.a_type == DType::kBf16) return LaunchWgmmaOfMajors<kRegisters>(wgmma);
  if (wgmma.a_type == DType::kE4m3) {
    return wgmma.b_type == DType::kE4m3 ? LaunchWgmma<kRegisters, OfFp8<E4m3, E4m3>>(wgmma)
                                        : LaunchWgmma<kRegisters, OfFp8<E4m3, E5m2>>(wgmma);
  }
  return wgmma.b_type == DType::kE4m3 ? LaunchWgmma<kRegisters, OfFp8<E5m2, E4m3>>(wgmma)
                                      : LaunchWgmma<kRegisters, OfFp8<E5m2, E5m2>>(wgmma);
}

uint32_t BytesOfBox(const cuda::TensorMapLayout& layout) {
  int64_t bytes = SizeOf(layout.dtype);
  for (int d = 0; d < layout.rank; ++d) bytes *= layout.box[d];
  return static_cast<uint32_t>(bytes);
}

}  // namespace

std::vector<float> RunWgmma(const WgmmaCase& wgmma) {
  if (wgmma.columns == 64) return LaunchWgmmaOfTypes<32>(wgmma);
  if (wgmma.columns == 128) return LaunchWgmmaOfTypes<64>(wgmma);
  return LaunchWgmmaOfTypes<128>(wgmma);
}

SharedImage RunTensorLoad(const cuda::TensorMapLayout& layout, const std::vector<int>& at, int elements) {
  const DeviceArray<int> device_at("at", at);
  const DeviceArray<uint16_t> out("out", SharedImage(static_cast<size_t>(elements)));
  const auto run = [&](auto kernel) {
    Launch(kernel, LaunchConfig{.block = 128, .shared = sizeof(ImageShared)}, cuda::MakeTensorMap(layout),
           device_at.data(), out.data(), elements, BytesOfBox(layout));
  };
  run(layout.rank == 2 ? TensorLoadKernel<2> : layout.rank == 3 ? TensorLoadKernel<3> : TensorLoadKernel<4>);
  return out.Values();
}

void RunTensorStore(const cuda::TensorMapLayout& layout, const std::vector<int>& at, const SharedImage& image) {
  const DeviceArray<int> device_at("at", at);
  const DeviceArray<uint16_t> device_image("image", image);
  const auto run = [&](auto kernel) {
    Launch(kernel, LaunchConfig{.block = 128, .shared = sizeof(ImageShared)}, cuda::MakeTensorMap(layout),
           device_at.data(), device_image.data(), static_cast<int>(image.size()));
  };
  run(layout.rank == 2 ? TensorStoreKernel<2> : layout.rank == 3 ? TensorStoreKernel<3> : TensorStoreKernel<4>);
}

std::vector<float> RunBulkCopies(const std::vector<float>& values) {
  const DeviceArray<float> x("x", values), y("y", std::vector<float>(values.size()));
  Launch(BulkKernel, LaunchConfig{.block = 32, .shared = sizeof(ImageShared)}, x.data(), y.data(),
         static_cast<uint32_t>(values.size() * sizeof(float)));
  return y.Values();
}

uint64_t RunMatrixDescriptor(int offset, int leading, int stride, Swizzle swizzle, int advance) {
  const DeviceArray<uint64_t> out("out", {0});
  Launch(DescriptorKernel, LaunchConfig{.shared = sizeof(ImageShared)}, offset, leading, stride, swizzle, advance,
         out.data());
  return out.Values()[0];
}

std::vector<int> RunParity() {
  const DeviceArray<int> out("out", std::vector<int>(4));
  Launch(ParityKernel, LaunchConfig{.shared = sizeof(ImageShared)}, out.data());
  return out.Values();
}

int RunRegisters() {
  const DeviceArray<int> passed("passed", {0});
  Launch(RegistersKernel, LaunchConfig{.block = 384}, passed.data());
  return passed.Values()[0];
}

}  // namespace ingot
