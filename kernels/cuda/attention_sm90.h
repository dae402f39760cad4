#pragma once
// Attention forward by a kernel for sm_90a (H100, H200): TMA, mbarriers, wgmma. Any other GPU refuses it; the emulator runs
// it.
#include "kernels/cuda/attention_args.h"

namespace ingot {

// Whether the current device and the kernel take it: heads of width 64 or 128 at 16-byte aligned addresses.
bool TakesAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args);
// As RunAttentionForward(). What is not taken is a programmer's error.
void RunAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args, Context& ctx);

}  // namespace ingot
