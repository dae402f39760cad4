#pragma once
// Philox4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC11):
// bits are a pure function of (key, counter), so any element of any stream can be drawn without drawing those before.
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace ingot {

struct Philox {
  uint64_t key = 0;

  // 128 bits for the counter (stream, index). constexpr, so that kernels can call it.
  constexpr std::array<uint32_t, 4> Bits(uint64_t stream, uint64_t index) const {
    std::array<uint32_t, 4> x = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * x[0], p1 = uint64_t{0xCD9E8D57u} * x[2];
      x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
      k0 += 0x9E3779B9u;  // the Weyl constants of the paper
      k1 += 0xBB67AE85u;
    }
    return x;
  }

  uint64_t Word(uint64_t stream, uint64_t index) const {
    const auto bits = Bits(stream, index);
    return uint64_t{bits[1]} << 32 | bits[0];
  }

  // Uniform in [0, 1), 53 bits.
  double Uniform(uint64_t stream, uint64_t index) const {
    return static_cast<double>(Word(stream, index) >> 11) * 0x1p-53;
  }

  // Uniform integer in [0, n), n > 0, without bias worth the name (multiply-shift on 64 bits).
  uint64_t Below(uint64_t n, uint64_t stream, uint64_t index) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Word(stream, index)) * n) >> 64);
  }

  // Standard normal by Box and Muller (1958), the cosine branch.
  double Normal(uint64_t stream, uint64_t index) const {
    const auto bits = Bits(stream, index);
    const double u = (static_cast<double>(uint64_t{bits[1]} << 32 | bits[0]) + 1.0) * 0x1p-64;  // (0, 1]
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(uint64_t{bits[3]} << 32 | bits[2]) * 0x1p-64;
    return std::sqrt(-2.0 * std::log(u)) * std::cos(angle);
  }
};

}  // namespace ingot
