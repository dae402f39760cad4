#include "data_pipeline/mixture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"
#include "data_pipeline/permutation.h"

namespace ingot {
namespace {

constexpr uint64_t kOne = uint64_t{1} << 32;         // the sum of a stage's weights
constexpr uint64_t kBlockShift = 0x9E3779B9u;        // 2^32 / golden ratio: the rests of blocks spread evenly
constexpr uint64_t kOrderKey = 0x626C6F636B73756Cu;  // keeps the order of blocks apart from that of windows

// `weights` as whole numbers that sum to 2^32: rounded down, and the rest to the largest fractions, first ones first.
std::vector<uint64_t> WholeWeights(const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  std::vector<uint64_t> whole;
  std::vector<std::pair<double, size_t>> fractions;
  uint64_t total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double exact = weights[i] / sum * static_cast<double>(kOne);
    whole.push_back(std::min(static_cast<uint64_t>(exact), kOne - total));
    total += whole.back();
    if (weights[i] > 0) fractions.emplace_back(static_cast<double>(whole.back()) - exact, i);
  }
  std::sort(fractions.begin(), fractions.end());
  for (size_t i = 0; total < kOne; ++i, ++total) ++whole[fractions[i % fractions.size()].second];
  return whole;
}

}  // namespace

unsigned __int128 FloorSum(uint64_t n, uint64_t m, uint64_t a, uint64_t c) {
  unsigned __int128 sum = 0, count = n, modulus = m, slope = a, start = c;
  while (count > 0) {
    sum += count * (count - 1) / 2 * (slope / modulus) + count * (start / modulus);
    slope %= modulus;
    start %= modulus;
    const unsigned __int128 top = slope * count + start;
    // The same lattice points, counted by columns of the other axis.
    count = top / modulus;
    start = top % modulus;
    std::swap(modulus, slope);
  }
  return sum;
}

// The order inside the blocks last used. A batch touches two at most, unless it is larger than a block.
class Mixture::BlockOrders {
 public:
  explicit BlockOrders(uint64_t seed) : random_{CombineHash(seed, kOrderKey)} {}

  int64_t Slot(int64_t block, int64_t place) {
    const std::lock_guard lock(mutex_);
    Table& table = tables_[static_cast<size_t>(block) % tables_.size()];
    if (table.block != block) {
      ShuffleTable(random_, static_cast<uint64_t>(block), table.slots);
      table.block = block;
    }
    return table.slots[static_cast<size_t>(place)];
  }

 private:
  struct Table {
    int64_t block = -1;
    std::array<uint16_t, kMixtureBlock> slots;
  };
  const Philox random_;
  std::mutex mutex_;
  std::array<Table, 4> tables_;
};

int64_t Mixture::Stage::CountIn(size_t source, int64_t block) const {
  const uint64_t shift = static_cast<uint64_t>(block) * kBlockShift % kOne;
  const uint64_t whole = kMixtureBlock * weights[source] / kOne;
  const uint64_t before = source > 0 ? running[source - 1] : 0;
  return static_cast<int64_t>(whole + (running[source] + shift) / kOne - (before + shift) / kOne);
}

int64_t Mixture::Stage::CountBefore(size_t source, int64_t blocks) const {
  const auto n = static_cast<uint64_t>(blocks);
  const uint64_t whole = kMixtureBlock * weights[source] / kOne;
  const uint64_t before = source > 0 ? running[source - 1] : 0;
  const unsigned __int128 rest =
      FloorSum(n, kOne, kBlockShift, running[source]) - FloorSum(n, kOne, kBlockShift, before);
  return static_cast<int64_t>(n * whole + static_cast<uint64_t>(rest));
}

absl::StatusOr<Mixture> Mixture::Create(uint64_t seed, const std::vector<MixtureStage>& stages) {
  INGOT_CHECK(!stages.empty() && stages[0].first_sequence == 0, "%zu stages, the first not at 0", stages.size());
  Mixture mixture;
  mixture.orders_ = std::make_shared<BlockOrders>(seed);
  for (const MixtureStage& stage : stages) INGOT_RETURN_IF_ERROR(mixture.AddStage(stage));
  return mixture;
}

absl::Status Mixture::AddStage(const MixtureStage& given) {
  const size_t number = stages_.size();
  const auto bad = [&](const auto&... words) {
    return absl::InvalidArgumentError(absl::StrCat("stage ", number, " of the mixture: ", words...));
  };
  double sum = 0;
  for (const double weight : given.weights) {
    if (!(weight >= 0) || !std::isfinite(weight)) return bad("expected weights of at least 0, found ", weight);
    sum += weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) return bad("expected a weight above 0");
  Stage stage = {.first_block = (given.first_sequence + kMixtureBlock / 2) / kMixtureBlock,
                 .weights = WholeWeights(given.weights),
                 .running = {},
                 .count_before = std::vector<int64_t>(given.weights.size())};
  uint64_t running = 0;
  for (const uint64_t weight : stage.weights) stage.running.push_back(running += kMixtureBlock * weight % kOne);
  if (!stages_.empty()) {
    const Stage& last = stages_.back();
    if (stage.weights.size() != last.weights.size()) {
      return bad("expected ", last.weights.size(), " weights, one a source, found ", stage.weights.size());
    }
    const int64_t blocks = stage.first_block - last.first_block;
    if (blocks < 1) return bad("expected a start at least ", kMixtureBlock, " sequences after the stage before");
    for (size_t i = 0; i < stage.weights.size(); ++i) {
      stage.count_before[i] = last.count_before[i] + last.CountBefore(i, blocks);
    }
  }
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

const Mixture::Stage& Mixture::StageOf(int64_t block) const {
  const auto after = std::upper_bound(stages_.begin(), stages_.end(), block,
                                      [](int64_t b, const Stage& stage) { return b < stage.first_block; });
  return *(after - 1);
}

Mixture::Place Mixture::At(int64_t sequence) const {
  INGOT_CHECK(sequence >= 0, "sequence %lld", static_cast<long long>(sequence));
  const int64_t block = sequence / kMixtureBlock;
  const Stage& stage = StageOf(block);
  const int64_t local = block - stage.first_block;
  int64_t slot = orders_->Slot(block, sequence % kMixtureBlock);
  for (size_t source = 0;; ++source) {
    const int64_t count = stage.CountIn(source, local);
    if (slot < count) return {source, stage.count_before[source] + stage.CountBefore(source, local) + slot};
    slot -= count;
  }
}

int64_t Mixture::CountBefore(size_t source, int64_t sequence) const {
  const int64_t block = sequence / kMixtureBlock;
  const Stage& stage = StageOf(block);
  return stage.count_before[source] + stage.CountBefore(source, block - stage.first_block);
}

}  // namespace ingot
