#pragma once
// Where tests run ops: the CPU in f32, the CUDA device (a GPU, or the emulator) in f32 and in bf16. A test keeps every
// tensor in host memory, bf16 ones as floats; RunOp() copies them into memory of the device, each in an allocation of
// its own exact size, and back.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/tensor.h"
#include "gtest/gtest.h"
#include "kernels/context.h"
#include "kernels/cuda/runtime.h"

namespace ingot {

struct Backend {
  const char* name;
  Device device;
  DType scalar;  // of activations and weights
};
inline constexpr Backend kCpuF32 = {"CPU f32", Device::kCpu, DType::kF32};
inline constexpr Backend kCudaF32 = {"CUDA f32", Device::kCuda, DType::kF32};
inline constexpr Backend kCudaBf16 = {"CUDA bf16", Device::kCuda, DType::kBf16};

// Those of this machine: a build for GPUs may run where there is none.
inline const std::vector<Backend>& CudaBackends() {
  static const std::vector<Backend> backends = [] {
    const auto device = cuda::SelectDevice(0);
    if (device.ok()) return std::vector<Backend>{kCudaF32, kCudaBf16};
    std::printf("CUDA backends are left out: %s\n", std::string(device.status().message()).c_str());
    return std::vector<Backend>{};
  }();
  return backends;
}
inline const std::vector<Backend>& AllBackends() {
  static const std::vector<Backend> backends = [] {
    std::vector<Backend> all = CudaBackends();
    all.insert(all.begin(), kCpuF32);
    return all;
  }();
  return backends;
}

inline Backend& CurrentBackend() {
  static Backend backend = kCpuF32;
  return backend;
}

// The ops of a scope run on `backend`; failures name it:
//   for (const Backend& backend : AllBackends()) {
//     const OnBackend on(backend);
class OnBackend {
 public:
  explicit OnBackend(const Backend& backend)
      : trace_(__FILE__, __LINE__, backend.name), before_(std::exchange(CurrentBackend(), backend)) {}
  ~OnBackend() { CurrentBackend() = before_; }
  OnBackend(const OnBackend&) = delete;
  OnBackend& operator=(const OnBackend&) = delete;

 private:
  testing::ScopedTrace trace_;
  Backend before_;
};

// Memory of `bytes` bytes where ops run on the CPU.
class HostMemory {
 public:
  explicit HostMemory(int64_t bytes) : bytes_(bytes), data_(new char[bytes]) {}
  char* data() const { return data_.get(); }
  void CopyFrom(const char* host) const { std::memcpy(data(), host, bytes_); }
  void CopyTo(char* host) const { std::memcpy(host, data(), bytes_); }

 private:
  int64_t bytes_;
  std::unique_ptr<char[]> data_;
};

// The same on the CUDA device, each copy finished before it returns. A test does not go on without memory.
class CudaMemory {
 public:
  explicit CudaMemory(int64_t bytes) : bytes_(bytes) {
    const auto memory = cuda::Allocate("a tensor of a test", bytes);
    INGOT_CHECK(memory.ok(), "%s", std::string(memory.status().message()).c_str());
    data_ = static_cast<char*>(*memory);
  }
  ~CudaMemory() { cuda::Free(data_); }
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  char* data() const { return data_; }
  void CopyFrom(const char* host) const { Finish(cuda::CopyToDevice(data_, host, bytes_, Stream())); }
  void CopyTo(char* host) const { Finish(cuda::CopyToHost(host, data_, bytes_, Stream())); }

  // The one stream of the tests.
  static void* Stream() {
    static void* const stream = [] {
      const auto created = cuda::CreateStream();
      INGOT_CHECK(created.ok(), "%s", std::string(created.status().message()).c_str());
      return *created;
    }();
    return stream;
  }
  static void Finish(absl::Status status) {
    if (status.ok()) status = cuda::Synchronize(Stream());
    INGOT_CHECK(status.ok(), "%s", std::string(status.message()).c_str());
  }

 private:
  int64_t bytes_;
  char* data_;
};

inline int64_t HostSizeOf(DType dtype) { return dtype == DType::kBf16 ? int64_t{sizeof(float)} : SizeOf(dtype); }

// The tensors of an op moved into `Memory`. Tensors that share memory of the test share memory there in the same way.
template <typename Memory>
class Images {
 public:
  explicit Images(std::span<Tensor> tensors) {
    for (const Tensor& t : tensors) {
      if (t.ptr != nullptr && Count(t) > 0) Add(t);
    }
    for (Range& range : ranges_) {
      range.memory = std::make_unique<Memory>(range.count() * SizeOf(range.dtype));
      range.memory->CopyFrom(range.Staged().data());
    }
    for (Tensor& t : tensors) {
      for (const Range& range : ranges_) {
        const char* const p = static_cast<const char*>(t.ptr);
        if (p < range.begin || p >= range.end) continue;
        INGOT_CHECK(t.dtype == range.dtype, "tensors of several types share host memory");
        t.ptr = range.memory->data() + (p - range.begin) / HostSizeOf(t.dtype) * SizeOf(t.dtype);
        break;
      }
    }
  }
  void CopyBack() {
    for (Range& range : ranges_) range.Fetch();
  }

 private:
  struct Range {
    char *begin, *end;
    DType dtype;
    std::unique_ptr<Memory> memory;

    int64_t count() const { return (end - begin) / HostSizeOf(dtype); }
    std::vector<char> Staged() const {
      std::vector<char> bytes(count() * SizeOf(dtype));
      if (dtype != DType::kBf16) {
        std::memcpy(bytes.data(), begin, bytes.size());
      } else {
        const float* const x = reinterpret_cast<const float*>(begin);
        for (int64_t i = 0; i < count(); ++i) reinterpret_cast<Bf16*>(bytes.data())[i] = ToBf16(x[i]);
      }
      return bytes;
    }
    void Fetch() {
      std::vector<char> bytes(count() * SizeOf(dtype));
      memory->CopyTo(bytes.data());
      if (dtype != DType::kBf16) {
        std::memcpy(begin, bytes.data(), bytes.size());
      } else {
        float* const x = reinterpret_cast<float*>(begin);
        for (int64_t i = 0; i < count(); ++i) x[i] = ToFloat(reinterpret_cast<const Bf16*>(bytes.data())[i]);
      }
    }
  };

  void Add(const Tensor& t) {
    char* const p = static_cast<char*>(t.ptr);
    Range range = {p, p + Count(t) * HostSizeOf(t.dtype), t.dtype, nullptr};
    for (size_t i = 0; i < ranges_.size();) {  // absorbs what it overlaps
      if (ranges_[i].begin < range.end && range.begin < ranges_[i].end) {
        range.begin = std::min(range.begin, ranges_[i].begin);
        range.end = std::max(range.end, ranges_[i].end);
        ranges_.erase(ranges_.begin() + static_cast<int64_t>(i));
      } else {
        ++i;
      }
    }
    ranges_.push_back(std::move(range));
  }

  std::vector<Range> ranges_;
};

// The tensors of an op, which are its first members.
template <typename Op, size_t... I>
constexpr bool BeginsWithTensors(std::index_sequence<I...>) {
  return requires { Op{(static_cast<void>(I), Tensor())...}; };
}
template <typename Op, size_t N = 1>
constexpr size_t TensorCount() {
  if constexpr (BeginsWithTensors<Op>(std::make_index_sequence<N + 1>())) {
    return TensorCount<Op, N + 1>();
  } else {
    return N;
  }
}
template <typename Op>
std::span<Tensor> TensorsOf(Op& op) {
  static_assert(std::is_standard_layout_v<Op>);
  return {reinterpret_cast<Tensor*>(&op), TensorCount<Op>()};
}

// Scratch enough for one op, filled with NaN so that reading before writing shows.
template <typename Op>
void RunOpOnCpu(const Op& op) {
  int64_t bytes = 0;
  if constexpr (HasScratch<Op>) bytes = op.ScratchBytes();
  std::vector<char> memory(bytes + 64, static_cast<char>(0xFF));
  char* const aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  Context context(Tensor(aligned, DType::kU8, {bytes}));
  context.Run(op);
}

template <typename Op>
void RunOpOnCuda(const Op& op) {
  int64_t bytes = 0;
  if constexpr (HasCudaScratch<Op>) bytes = op.CudaScratchBytes();
  const CudaMemory scratch(bytes);
  scratch.CopyFrom(std::vector<char>(bytes, static_cast<char>(0xFF)).data());
  Context context(Tensor(scratch.data(), DType::kU8, {bytes}), Device::kCuda, CudaMemory::Stream());
  context.Run(op);
  CudaMemory::Finish(absl::OkStatus());
}

// Runs the op on the current backend. Host memory is used as it lies where the op runs on it and nothing is bf16.
template <typename Op>
void RunOp(Op op) {
  const std::span<Tensor> tensors = TensorsOf(op);
  if constexpr (HasCuda<Op>) {
    if (CurrentBackend().device == Device::kCuda) {
      Images<CudaMemory> images(tensors);
      RunOpOnCuda(op);
      return images.CopyBack();
    }
  }
  INGOT_CHECK(CurrentBackend().device == Device::kCpu, "%s has no CUDA body", Op::kName);
  if (std::none_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.dtype == DType::kBf16; })) {
    return RunOpOnCpu(op);
  }
  Images<HostMemory> images(tensors);
  RunOpOnCpu(op);
  images.CopyBack();
}

}  // namespace ingot
