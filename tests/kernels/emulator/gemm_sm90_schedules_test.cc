// The bits of our products for sm_90a do not depend on the order of threads and blocks, nor on when TMA and wgmma are done.
// Each shape goes round its stages at least stages + 2 times.
#include <vector>

#include "kernels/emulator/options.h"
#include "tests/kernels/device_sm90.h"
#include "tests/kernels/gemm_fp8_data.h"
#include "tests/kernels/gemm_sm90_data.h"

namespace ingot {
namespace {

using emulator::Copies;
using emulator::Options;
using emulator::Schedule;

template <typename Body>
void ExpectSameBitsForAllOrders(const Body& body) {
  const emulator::ScopedCapability sm90(90);
  std::vector<Floats> results;
  for (const Schedule schedule : {Schedule::kForward, Schedule::kReverse, Schedule::kRandom, Schedule::kPct}) {
    for (const Copies copies : {Copies::kEarly, Copies::kLate, Copies::kRandom}) {
      const emulator::ScopedOptions scoped(Options{.schedule = schedule, .copies = copies, .seed = 11});
      results.push_back(body());
    }
  }
  ExpectSameBits(results, "schedule");
}

TEST(GemmSm90Schedules, SameBits) {
  for (const GemmShape& shape : {GemmShape{130, 200, 520, false, true, DType::kBf16, 1},
                                 GemmShape{136, 520, 389, true, false, DType::kF32, 1}}) {
    ExpectSameBitsForAllOrders([&] { return GemmData(shape).Run(); });
  }
}

// Narrow tiles and six stages, wide ones and four.
TEST(GemmSm90Schedules, SameBitsOfFp8) {
  const OnSm90 device;
  for (const Fp8GemmShape& shape : {Fp8GemmShape{257, 300, 400, DType::kE5m2, DType::kE4m3, DType::kBf16, 1, true},
                                    Fp8GemmShape{130, 200, 784, DType::kE4m3, DType::kE4m3, DType::kF32, 1, false}}) {
    ExpectSameBitsForAllOrders([&] { return Fp8GemmData(shape).Run(); });
  }
}

TEST(GemmSm90Schedules, SameBitsOfSwiglu) {
  ExpectSameBitsForAllOrders([] {
    const DeviceMatrix x(DType::kBf16, 130, 392, 1), w(DType::kBf16, 2 * 140, 392, 2);
    const DeviceMatrix gate_up(DType::kBf16, 130, 2 * 140, 3), y(DType::kBf16, 130, 140, 4);
    cuda::RunSwigluGemmSm90({.x = x.tensor, .w = w.tensor, .gate_up = gate_up.tensor, .y = y.tensor},
                            CudaMemory::Stream());
    CudaMemory::Finish(absl::OkStatus());
    return Joined({gate_up.Values(), y.Values()});
  });
}

}  // namespace
}  // namespace ingot
