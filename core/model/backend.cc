#include "core/model/backend.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/runtime.h"

namespace ingot {

absl::StatusOr<std::shared_ptr<const Backend>> Backend::Create(Device device) {
  if (device == Device::kCpu) return std::shared_ptr<const Backend>(new Backend(device, "cpu", nullptr));
  INGOT_ASSIGN_OR_RETURN(std::string name, cuda::SelectDevice(cuda::OwnDevice()));
  INGOT_ASSIGN_OR_RETURN(void* const stream, cuda::CreateStream());
  return std::shared_ptr<const Backend>(new Backend(device, std::move(name), stream));
}

absl::StatusOr<std::shared_ptr<const Backend>> Backend::Fork() const {
  void* stream = nullptr;
  if (device_ == Device::kCuda) {
    INGOT_ASSIGN_OR_RETURN(stream, cuda::CreateStream());
  }
  return std::shared_ptr<const Backend>(new Backend(device_, name_, stream));
}

Backend::~Backend() {
  if (stream_ != nullptr) cuda::DestroyStream(stream_);
}

absl::StatusOr<Arena> Backend::CreateArena(const std::string& name, int64_t bytes) const {
  if (device_ == Device::kCpu) return Arena::Create(name, bytes);
  bytes = Arena::Aligned(bytes);
  // Asked first, so that the error names what is planned and what there is.
  INGOT_ASSIGN_OR_RETURN(const int64_t free_bytes, cuda::FreeBytes());
  if (bytes > free_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, ": ", bytes, " bytes of device memory are planned, but only ", free_bytes,
                     " are free: use a smaller training.micro_batch, model.recompute=block, or a smaller model"));
  }
  INGOT_ASSIGN_OR_RETURN(void* const memory, cuda::Allocate(name, bytes));
  return Arena::Over(name, memory, bytes, cuda::Free);
}

absl::Status Backend::CopyIn(const Tensor& to, const void* from) const {
  if (device_ == Device::kCpu) {
    if (to.ptr != from) std::memcpy(to.ptr, from, static_cast<size_t>(Bytes(to)));
    return absl::OkStatus();
  }
  INGOT_RETURN_IF_ERROR(cuda::CopyToDevice(to.ptr, from, Bytes(to), stream_));
  return cuda::Synchronize(stream_);
}

absl::Status Backend::CopyOut(void* to, const Tensor& from) const {
  if (device_ == Device::kCpu) {
    if (from.ptr != to) std::memcpy(to, from.ptr, static_cast<size_t>(Bytes(from)));
    return absl::OkStatus();
  }
  INGOT_RETURN_IF_ERROR(cuda::CopyToHost(to, from.ptr, Bytes(from), stream_));
  return cuda::Synchronize(stream_);
}

absl::Status Backend::FillZero(const Tensor& to) const {
  if (device_ == Device::kCuda) return cuda::FillZero(to.ptr, Bytes(to), stream_);
  std::memset(to.ptr, 0, static_cast<size_t>(Bytes(to)));
  return absl::OkStatus();
}

Moment Backend::Now() const {
  return device_ == Device::kCpu ? nullptr : Moment(cuda::RecordEvent(stream_), cuda::DestroyEvent);
}

void Backend::After(const Moment& moment) const {
  if (moment != nullptr) cuda::WaitForEvent(stream_, moment.get());
}

void Backend::UseInThisThread() const {
  if (device_ == Device::kCuda) cuda::UseDevice();
}

absl::Status Backend::Wait() const { return device_ == Device::kCpu ? absl::OkStatus() : cuda::Synchronize(stream_); }

absl::StatusOr<HostCopy> HostCopy::Create(std::shared_ptr<const Backend> backend, const Tensor& of) {
  if (backend->device() == Device::kCpu) return HostCopy(std::move(backend), of, of, nullptr);
  const int64_t bytes = Bytes(backend->device(), of);
  INGOT_ASSIGN_OR_RETURN(void* const memory, cuda::AllocatePinned("host copy", bytes));
  auto arena = std::make_shared<Arena>(Arena::Over("host copy", memory, bytes, cuda::FreePinned));
  std::memset(memory, 0, static_cast<size_t>(bytes));  // what lies between parameters is uploaded too, and must be 0
  Tensor host = of;
  host.ptr = memory;
  return HostCopy(std::move(backend), of, host, std::move(arena));
}

int64_t HostCopy::Bytes(Device device, const Tensor& of) {
  return device == Device::kCpu ? 0 : Arena::Aligned(ingot::Bytes(of));
}

absl::Status HostCopy::Download() const { return backend_->CopyOut(host_.ptr, of_); }
absl::Status HostCopy::Upload() const { return backend_->CopyIn(of_, host_.ptr); }

}  // namespace ingot
