#pragma once
// Mixture: which source global sequence g comes from, and which of that source's sequences it is, as a pure function of
// (seed, weights, g). Sequences come in blocks of K = 1,024. With weights W_i that sum to M = 2^32,
// f_i = floor(K W_i / M) and C_i the running sum of (K W_i mod M), block b of a stage holds of source i
//   f_i + floor((C_i + t) / M) - floor((C_{i-1} + t) / M),  t = b * 0x9E3779B9 mod M:
// each block sums to K and is within one sequence of every weight. The count before a block is a sum of floors in closed
// form, so any g is reached in O(sources). docs/data.md states the format.
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

namespace ingot {

inline constexpr int64_t kMixtureBlock = 1024;  // sequences

struct MixtureStage {
  int64_t first_sequence = 0;   // rounded to the nearest block
  std::vector<double> weights;  // of each source, in any scale: at least 0, one above 0
};

// The sum over j in [0, n) of floor((a j + c) / m); m > 0. All intermediate values have 128 bits.
unsigned __int128 FloorSum(uint64_t n, uint64_t m, uint64_t a, uint64_t c);

class Mixture {
 public:
  // The first stage begins at 0, the others ascend by a block at least. The error names the stage.
  static absl::StatusOr<Mixture> Create(uint64_t seed, const std::vector<MixtureStage>& stages);

  struct Place {
    size_t source = 0;
    int64_t item = 0;  // how many sequences this source has given before
  };
  // Thread-safe; allocates nothing.
  Place At(int64_t sequence) const;
  // Sequences of `source` in the blocks before the one of `sequence`.
  int64_t CountBefore(size_t source, int64_t sequence) const;
  size_t sources() const { return stages_.front().weights.size(); }

 private:
  struct Stage {
    int64_t first_block = 0;
    std::vector<uint64_t> weights;                             // W_i
    std::vector<uint64_t> running;                             // C_i
    std::vector<int64_t> count_before;                         // sequences of each source before first_block
    int64_t CountBefore(size_t source, int64_t blocks) const;  // in this stage's first `blocks`
    int64_t CountIn(size_t source, int64_t block) const;       // in the stage's block `block`
  };
  class BlockOrders;

  Mixture() = default;
  absl::Status AddStage(const MixtureStage& stage);
  const Stage& StageOf(int64_t block) const;

  std::vector<Stage> stages_;
  std::shared_ptr<BlockOrders> orders_;
};

}  // namespace ingot
