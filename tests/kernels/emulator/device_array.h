#pragma once
// An array in the memory of the device: a GPU's, or the emulator's.
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

// Device memory with a copy of `bytes` bytes of `values`, and back. A test does not go on without memory.
void* NewOnDevice(const std::string& name, const void* values, int64_t bytes);
void CopyFromDevice(void* values, const void* memory, int64_t bytes);
void FreeOnDevice(void* memory);

template <typename T>
class DeviceArray {
 public:
  DeviceArray(const std::string& name, const std::vector<T>& values)
      : size_(values.size()), data_(static_cast<T*>(NewOnDevice(name, values.data(), bytes()))) {}
  ~DeviceArray() { FreeOnDevice(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> Values() const {
    std::vector<T> values(size_);
    CopyFromDevice(values.data(), data_, bytes());
    return values;
  }

 private:
  int64_t bytes() const { return static_cast<int64_t>(size_ * sizeof(T)); }

  size_t size_;
  T* data_;
};

}  // namespace ingot
