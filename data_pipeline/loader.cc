#include "data_pipeline/loader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/permutation.h"

namespace ingot {
namespace {

class ShardLoader : public Loader {
 public:
  ShardLoader(Dataset dataset, const LoaderPlan& plan)
      : dataset_(std::move(dataset)),
        stream_(dataset_.state().stream(plan.split)),
        plan_(plan),
        windows_((stream_.tokens() - 1) / plan.T) {}
  ~ShardLoader() override { Stop(); }

  int64_t windows() const override { return windows_; }
  void Read(int64_t first, TokenBatch& batch) const override;
  void Start(int64_t first, int64_t stride) override;
  const TokenBatch& Next() override;
  double seconds_waited() const override { return seconds_waited_; }

 private:
  // Batches in flight: the one the caller has, and those read ahead of it.
  static constexpr int64_t kRing = 4;

  std::shared_ptr<const Permutation> PermutationOf(int64_t epoch) const;
  void ReadWindow(int64_t window, int64_t b, TokenBatch& batch) const;
  void MaskDocuments(int64_t window, int64_t b, TokenBatch& batch) const;
  void FillDocument(int64_t b, int64_t begin, int64_t end, TokenBatch& batch) const;
  void CheckIds(const TokenBatch& batch) const;
  void CheckData(bool good, const char* fault) const;
  void Stop();
  void ReadAhead(int64_t first, int64_t stride);

  const Dataset dataset_;
  const TokenStream& stream_;
  const LoaderPlan plan_;
  const int64_t windows_;

  // The order of the epochs last used, by the epoch's parity: a batch touches two at most, unless epochs are tiny.
  struct Order {
    int64_t epoch = -1;
    std::shared_ptr<const Permutation> permutation;
  };
  mutable std::mutex orders_mutex_;
  mutable std::array<Order, 2> orders_;

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<TokenBatch, kRing> ring_;
  int64_t produced_ = 0, consumed_ = 0;  // batches, since Start
  bool stop_ = false;
  double seconds_waited_ = 0;
};

std::shared_ptr<const Permutation> ShardLoader::PermutationOf(int64_t epoch) const {
  const std::lock_guard lock(orders_mutex_);
  Order& order = orders_[static_cast<size_t>(epoch & 1)];
  if (order.epoch != epoch) {
    order.permutation =
        std::make_shared<const Permutation>(plan_.seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(windows_));
    order.epoch = epoch;
  }
  return order.permutation;
}

void ShardLoader::ReadWindow(int64_t window, int64_t b, TokenBatch& batch) const {
  const int64_t T = plan_.T;
  int32_t* tokens = batch.tokens.data() + b * T;
  int32_t* targets = batch.targets.data() + b * T;
  stream_.Copy(window * T, T, tokens);
  std::copy(tokens + 1, tokens + T, targets);
  stream_.Copy(window * T + T, 1, targets + T - 1);
  if (plan_.mask_documents) {
    MaskDocuments(window, b, batch);
  } else {
    FillDocument(b, 0, T, batch);
  }
}

// The tokens [begin, end) of sequence b belong to one document.
void ShardLoader::FillDocument(int64_t b, int64_t begin, int64_t end, TokenBatch& batch) const {
  int32_t* start = batch.document_start.data() + b * plan_.T;
  int32_t* positions = batch.positions.data() + b * plan_.T;
  for (int64_t t = begin; t < end; ++t) {
    start[t] = static_cast<int32_t>(begin);
    positions[t] = static_cast<int32_t>(t - begin);
  }
}

void ShardLoader::MaskDocuments(int64_t window, int64_t b, TokenBatch& batch) const {
  const int64_t T = plan_.T;
  int64_t begin = 0;
  for (TokenStream::Ends ends(stream_, window * T); !ends.done(); ends.Next()) {
    const int64_t end = ends.value() - window * T;  // t of the next document's first token
    if (end > T) break;
    CheckData(end > begin, "a document ends before it begins");
    FillDocument(b, begin, end, batch);
    batch.targets[static_cast<size_t>(b * T + end - 1)] = -1;
    --batch.target_count;
    begin = end;
  }
  FillDocument(b, begin, T, batch);
}

// Large datasets are not checksummed when opened; what would lead to memory that is not ours must not pass.
void ShardLoader::CheckData(bool good, const char* fault) const {
  INGOT_CHECK(good, "%s is damaged: %s; run 'ingot data verify %s'", dataset_.directory().c_str(), fault,
              dataset_.directory().c_str());
}

void ShardLoader::CheckIds(const TokenBatch& batch) const {
  uint32_t largest = 0;  // negative ids become large ones
  for (const int32_t id : batch.tokens) largest = std::max(largest, static_cast<uint32_t>(id));
  CheckData(static_cast<int64_t>(largest) < dataset_.vocabulary(), "a token id outside its vocabulary");
}

void ShardLoader::Read(int64_t first, TokenBatch& batch) const {
  INGOT_CHECK(first >= 0, "sequence %lld", static_cast<long long>(first));
  const int64_t B = plan_.B, T = plan_.T;
  batch.B = B;
  batch.T = T;
  for (auto* values : {&batch.tokens, &batch.targets, &batch.document_start, &batch.positions}) {
    values->resize(static_cast<size_t>(B * T));
  }
  batch.target_count = B * T;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t epoch = (first + b) / windows_, index = (first + b) % windows_;
    const int64_t window =
        plan_.shuffle ? static_cast<int64_t>((*PermutationOf(epoch))(static_cast<uint64_t>(index))) : index;
    ReadWindow(window, b, batch);
  }
  CheckIds(batch);
}

void ShardLoader::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void ShardLoader::Start(int64_t first, int64_t stride) {
  INGOT_CHECK(first >= 0 && stride >= 0, "start at %lld, stride %lld", static_cast<long long>(first),
              static_cast<long long>(stride));
  Stop();
  produced_ = consumed_ = 0;
  stop_ = false;
  thread_ = std::thread([this, first, stride] { ReadAhead(first, stride); });
}

void ShardLoader::ReadAhead(int64_t first, int64_t stride) {
  for (int64_t number = 0;; ++number) {
    {
      std::unique_lock lock(mutex_);
      // Batch consumed_ - 1 is in the caller's hands.
      changed_.wait(lock, [&] { return stop_ || number < consumed_ - 1 + kRing; });
      if (stop_) return;
    }
    Read(first + number * stride, ring_[static_cast<size_t>(number % kRing)]);
    const std::lock_guard lock(mutex_);
    produced_ = number + 1;
    changed_.notify_all();
  }
}

const TokenBatch& ShardLoader::Next() {
  INGOT_CHECK(thread_.joinable(), "Next() before Start()");
  std::unique_lock lock(mutex_);
  const int64_t number = consumed_++;
  changed_.notify_all();
  if (produced_ <= number) {
    const auto before = std::chrono::steady_clock::now();
    changed_.wait(lock, [&] { return produced_ > number; });
    seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  }
  return ring_[static_cast<size_t>(number % kRing)];
}

}  // namespace

absl::StatusOr<std::unique_ptr<Loader>> Loader::Create(Dataset dataset, const LoaderPlan& plan) {
  INGOT_CHECK(plan.B > 0 && plan.T > 0, "a batch of B=%lld, T=%lld", static_cast<long long>(plan.B),
              static_cast<long long>(plan.T));
  const int64_t tokens = dataset.tokens(plan.split);
  if (tokens < plan.T + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(dataset.directory(), ": the ", Name(plan.split), " split has ", tokens,
                     " tokens; sequences of T = ", plan.T, " need at least T + 1 = ", plan.T + 1,
                     ": use more text, a shorter sequence_length, or another ", "--validation-fraction"));
  }
  return std::make_unique<ShardLoader>(std::move(dataset), plan);
}

}  // namespace ingot
