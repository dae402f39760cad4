#pragma once
// Backend: where a model lives and computes. Tensors of a CPU backend lie in host memory, those of a CUDA backend in
// device memory; only CopyIn() and CopyOut() cross over.
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/base/tensor.h"
#include "kernels/context.h"

namespace ingot {

// A moment in the order of a backend's ops: that at which all are done that were run before. Null on the CPU.
using Moment = std::shared_ptr<void>;

class Backend {
 public:
  // Errors: Device::kCuda without a driver, a GPU, or one that is new enough. A build without CUDA runs the same kernels
  // on the emulator.
  static absl::StatusOr<std::shared_ptr<const Backend>> Create(Device device);
  // The same device and its memory, with an order of its own: ops of the two may run at the same time.
  absl::StatusOr<std::shared_ptr<const Backend>> Fork() const;
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  Device device() const { return device_; }
  const std::string& name() const { return name_; }  // "cpu", "emulator", a GPU's name
  // A context of this device and its stream.
  Context MakeContext(const Tensor& scratch = {}) const { return Context(scratch, device_, stream_); }

  // Memory of the device: zeros on the CPU, unspecified on CUDA. Errors: the device does not have as much.
  absl::StatusOr<Arena> CreateArena(const std::string& name, int64_t bytes) const;

  // Between host memory and a tensor of this device, behind all ops run before; done on return. An error of an earlier
  // kernel surfaces here.
  absl::Status CopyIn(const Tensor& to, const void* from) const;
  absl::Status CopyOut(void* to, const Tensor& from) const;
  absl::Status FillZero(const Tensor& to) const;
  // Ops run on this from now on begin after `moment`, which another backend of this device told by Now(); nobody waits.
  Moment Now() const;
  void After(const Moment& moment) const;
  // In each thread but the one that called Create(), before it uses a backend.
  void UseInThisThread() const;
  // Waits for all ops run before; the first error of any of them.
  absl::Status Wait() const;

 private:
  Backend(Device device, std::string name, void* stream) : device_(device), name_(std::move(name)), stream_(stream) {}

  Device device_;
  std::string name_;
  void* stream_;  // cudaStream_t; null on the CPU
};

// What host code reads and writes of a tensor: the tensor itself on the CPU, a copy in page-locked host memory otherwise.
class HostCopy {
 public:
  static absl::StatusOr<HostCopy> Create(std::shared_ptr<const Backend> backend, const Tensor& of);
  // Bytes of host memory that Create() takes.
  static int64_t Bytes(Device device, const Tensor& of);

  const Tensor& tensor() const { return host_; }
  absl::Status Download() const;  // the tensor's values into tensor()
  absl::Status Upload() const;    // and back

 private:
  HostCopy(std::shared_ptr<const Backend> backend, const Tensor& of, const Tensor& host, std::shared_ptr<Arena> arena)
      : backend_(std::move(backend)), of_(of), host_(host), arena_(std::move(arena)) {}

  std::shared_ptr<const Backend> backend_;
  Tensor of_, host_;
  std::shared_ptr<Arena> arena_;  // null on the CPU
};

}  // namespace ingot
