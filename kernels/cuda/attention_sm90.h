#pragma once
// Attention by kernels for sm_90a (H100, H200): TMA, mbarriers, wgmma. Any other GPU refuses them; the emulator runs them.
#include "kernels/cuda/attention_args.h"

namespace ingot {

// Whether the current device and the kernels take it: heads of width 64, 80, 96 or 128 at 16-byte aligned addresses.
bool TakesAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args);
// As RunAttentionForward(). What is not taken is a programmer's error.
void RunAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args, Context& ctx);

// The same of dq, dk and dv, with args.padded_T a multiple of kAttentionTileSm90.
inline constexpr int kAttentionTileSm90 = 128;
bool TakesAttentionBackwardSm90(const AttentionBackwardArgs<Bf16>& args);
void RunAttentionBackwardSm90(const AttentionBackwardArgs<Bf16>& args, Context& ctx);

}  // namespace ingot
