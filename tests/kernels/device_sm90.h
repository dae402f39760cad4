#pragma once
// Tests of what a device of compute capability 9.0 computes with.
namespace ingot {

// Whether there is such a device: a GPU, or the emulator.
bool CanRunSm90();

// In its scope the emulated device is of compute capability 9.0, and products go to the kernel of gemm_sm90.h as far as it takes
// them. A GPU stays what it is, and measures which kernel computes a product.
class OnSm90 {
 public:
  OnSm90();
  ~OnSm90();
  OnSm90(const OnSm90&) = delete;
  OnSm90& operator=(const OnSm90&) = delete;

 private:
  int capability_before_;
};

}  // namespace ingot
