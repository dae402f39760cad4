#include "data_pipeline/loader.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/row_maker.h"

namespace ingot {
namespace {

class ShardLoader : public Loader {
 public:
  ShardLoader(std::vector<Dataset> sources, RowPlan rows, const LoaderPlan& plan)
      : sources_(std::move(sources)), rows_(std::move(rows)), plan_(plan), maker_(plan) {}
  ~ShardLoader() override { Stop(); }

  int64_t windows() const override { return rows_.rows(); }
  std::vector<Share> Shares(int64_t sequences) const override { return rows_.Shares(sequences); }
  absl::Status Read(int64_t first, TokenBatch& batch) const override;
  using Loader::Start;
  void Start(int64_t first, int64_t stride, int64_t run) override;
  const TokenBatch& Next() override;
  absl::Status status() const override;
  void set_on_growth(std::function<void()> on_growth) override { on_growth_ = std::move(on_growth); }
  double seconds_waited() const override { return seconds_waited_; }

 private:
  // Batches in flight: the one the caller has, and those read ahead of it.
  static constexpr int64_t kRing = 4;

  absl::Status CheckIds(size_t source, int64_t b, const TokenBatch& batch) const;
  absl::Status Damaged(size_t source, absl::string_view fault) const;
  void Stop();
  void ReadAhead(int64_t first, int64_t stride, int64_t run);
  void WaitFor(int64_t number, std::unique_lock<std::mutex>& lock);

  const std::vector<Dataset> sources_;
  const RowPlan rows_;
  const LoaderPlan plan_;
  const RowMaker maker_;

  mutable std::mutex growing_;  // raw documents: held by Read()
  std::function<void()> on_growth_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<TokenBatch, kRing> ring_;
  int64_t produced_ = 0, consumed_ = 0;  // batches, since Start
  bool stop_ = false;
  absl::Status status_;  // why ReadAhead() ended
  double seconds_waited_ = 0;
};

// Large datasets are not checksummed when opened; what would lead to memory that is not ours must not pass.
absl::Status ShardLoader::Damaged(size_t source, absl::string_view fault) const {
  const std::string& directory = sources_[source].directory();
  return absl::DataLossError(
      absl::StrCat(directory, " is damaged: ", fault, "; run 'ingot data verify ", directory, "'"));
}

absl::Status ShardLoader::CheckIds(size_t source, int64_t b, const TokenBatch& batch) const {
  const int32_t* tokens = batch.tokens.data() + b * plan_.T;
  const int32_t* targets = batch.targets.data() + b * plan_.T;
  uint32_t largest = 0, largest_target = 0;  // negative ids become large ones
  for (int64_t t = 0; t < plan_.T; ++t) {
    largest = std::max(largest, static_cast<uint32_t>(tokens[t]));
    largest_target = std::max(largest_target, static_cast<uint32_t>(targets[t] + 1));
  }
  const auto vocabulary = static_cast<uint32_t>(sources_[0].vocabulary());
  if (largest < vocabulary && largest_target <= vocabulary) return absl::OkStatus();
  return Damaged(source, "a token id outside its vocabulary");
}

absl::Status ShardLoader::Read(int64_t first, TokenBatch& batch) const {
  INGOT_CHECK(first >= 0, "sequence %lld", static_cast<long long>(first));
  maker_.Prepare(batch);
  std::unique_lock growing(growing_, std::defer_lock);
  if (rows_.grows()) growing.lock();
  for (int64_t b = 0; b < plan_.B; ++b) {
    INGOT_RETURN_IF_ERROR(rows_.Await(first + b));
    const RowPlan::Row row = rows_.At(first + b);
    if (const absl::Status made = maker_.Make(row, b, batch); !made.ok()) return Damaged(row.source, made.message());
    INGOT_RETURN_IF_ERROR(CheckIds(row.source, b, batch));
  }
  return absl::OkStatus();
}

void ShardLoader::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  rows_.Interrupt(true);
  if (thread_.joinable()) thread_.join();
  rows_.Interrupt(false);
}

void ShardLoader::Start(int64_t first, int64_t stride, int64_t run) {
  INGOT_CHECK(first >= 0 && stride >= 0 && run >= 1, "start at %lld, stride %lld, %lld batches a run",
              static_cast<long long>(first), static_cast<long long>(stride), static_cast<long long>(run));
  Stop();
  produced_ = consumed_ = 0;
  stop_ = false;
  status_ = absl::OkStatus();
  thread_ = std::thread([this, first, stride, run] { ReadAhead(first, stride, run); });
}

void ShardLoader::ReadAhead(int64_t first, int64_t stride, int64_t run) {
  for (int64_t number = 0;; ++number) {
    {
      std::unique_lock lock(mutex_);
      // Batch consumed_ - 1 is in the caller's hands.
      changed_.wait(lock, [&] { return stop_ || number < consumed_ - 1 + kRing; });
      if (stop_) return;
    }
    const int64_t sequence = first + number / run * stride + number % run * plan_.B;
    absl::Status read = Read(sequence, ring_[static_cast<size_t>(number % kRing)]);
    const std::lock_guard lock(mutex_);
    if (!read.ok()) {
      status_ = std::move(read);
      changed_.notify_all();
      return;
    }
    produced_ = number + 1;
    changed_.notify_all();
  }
}

void ShardLoader::WaitFor(int64_t number, std::unique_lock<std::mutex>& lock) {
  const auto come = [&] { return produced_ > number || !status_.ok(); };
  for (int64_t grown = rows_.grown(); !changed_.wait_for(lock, std::chrono::seconds(1), come);) {
    if (on_growth_ && rows_.grown() > grown) on_growth_();
    grown = rows_.grown();
  }
}

const TokenBatch& ShardLoader::Next() {
  INGOT_CHECK(thread_.joinable(), "Next() before Start()");
  std::unique_lock lock(mutex_);
  const int64_t number = consumed_++;
  changed_.notify_all();
  if (produced_ <= number) {
    const auto before = std::chrono::steady_clock::now();
    WaitFor(number, lock);
    seconds_waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  }
  TokenBatch& batch = ring_[static_cast<size_t>(number % kRing)];
  if (produced_ <= number) {  // the stream has ended: see status()
    maker_.Prepare(batch);
    std::fill(batch.tokens.begin(), batch.tokens.end(), 0);
    std::fill(batch.targets.begin(), batch.targets.end(), -1);
  }
  return batch;
}

absl::Status ShardLoader::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Loader>> Loader::Create(std::vector<Dataset> sources, const LoaderPlan& plan) {
  INGOT_CHECK(plan.B > 0 && plan.T > 0, "a batch of B=%lld, T=%lld", static_cast<long long>(plan.B),
              static_cast<long long>(plan.T));
  INGOT_ASSIGN_OR_RETURN(RowPlan rows, RowPlan::Create(sources, plan));
  return std::make_unique<ShardLoader>(std::move(sources), std::move(rows), plan);
}

absl::StatusOr<std::unique_ptr<Loader>> Loader::Create(Dataset dataset, const LoaderPlan& plan) {
  std::vector<Dataset> sources;
  sources.push_back(std::move(dataset));
  return Create(std::move(sources), plan);
}

}  // namespace ingot
