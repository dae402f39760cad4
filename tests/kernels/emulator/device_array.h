#pragma once
// An array in the emulated device's memory.
#include <cstring>
#include <string>
#include <vector>

#include "kernels/emulator/memory.h"

namespace ingot {

template <typename T>
class DeviceArray {
 public:
  DeviceArray(const std::string& name, const std::vector<T>& values)
      : size_(values.size()),
        data_(static_cast<T*>(emulator::AllocateMemory(emulator::Space::kDevice, name, size_ * sizeof(T)))) {
    std::memcpy(data_, values.data(), size_ * sizeof(T));
  }
  ~DeviceArray() { emulator::FreeMemory(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> Values() const { return {data_, data_ + size_}; }

 private:
  size_t size_;
  T* data_;
};

}  // namespace ingot
