#pragma once
// Reference body of wgmma.mma_async, written from the PTX ISA ("Asynchronous Warpgroup Level Matrix Instructions"). The 128
// threads of a warpgroup issue a product of 64 x K and K x N that reads shared memory and adds to f32 registers some time
// before it is waited for, as Options::copies says. K is 32 bytes: 16 of bf16, 32 of e4m3 or e5m2.
//
// Until then the accumulators read as NaN, and touching them is an error in the builds that can see it (asan, race); an
// accumulator that was written shows at the wait in all builds.
#include <cstdint>

#include "core/base/dtype.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/site.h"

namespace ingot::emulator {

struct WgmmaOperands {
  const uint32_t* a_registers;  // four, or null: `a` is a descriptor
  uint64_t a, b;
  bool a_mn_major, b_mn_major;
  bool accumulate;                                     // else d is overwritten
  DType a_type = DType::kBf16, b_type = DType::kBf16;  // both bf16, or each an fp8 that is K-major in shared memory
};

// d (64, N) = a (64, K) * b (K, N) + d, N = 2 * registers. With w the warp, g = lane / 4, t = lane % 4:
//   d[i]          row 16w + g + 8 * (i / 2 % 2), column 8 * (i / 4) + 2t + i % 2
//   half h of a[i]   row 16w + g + 8 * (i % 2), k 2t + h + 8 * (i / 2)
// Products are exact; they are added to d one after another in the order of k, where hardware's order is its own.
// Errors: no wgmma.fence since the last wait that left nothing in flight; threads that differ; descriptors that leave the
// block's memory.
void Wgmma(float* d, int registers, const WgmmaOperands& operands, Site site);
void WgmmaFence(Site site);
void WgmmaCommit(Site site);
// Until at most the `pending` newest groups of the warpgroup are in flight: 0 to 7.
void WgmmaWait(int pending, Site site);

// Called by the launch.
void StartWgmma(const Options& options);
void CheckNoWgmmaInFlight();
// At a step of the scheduler, under kRandom.
void RunWgmmaAtRandom();

// setmaxnreg of a whole warpgroup: registers of a thread, a multiple of 8 from 24 to 256. An increase waits until others have
// given back enough of the multiprocessor's 65,536.
void SetMaxRegisters(int registers, bool increase, Site site);
void ResetRegisterPool();

}  // namespace ingot::emulator
