#include "data_pipeline/streaming/growing_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

// Up to here a cache's checksums are compared when its shards are opened, as those of a dataset.
constexpr int64_t kCheckedTokens = int64_t{1} << 29;

// Calls look() until it returns true, or an error, with pauses that grow. `alive` changes as long as there is progress.
template <typename Look>
absl::Status PollUntil(const GrowingStream::Options& options, const std::atomic<bool>& interrupted,
                       const std::atomic<int64_t>& alive, const Look& look) {
  constexpr std::chrono::milliseconds kShortest(1), kLongest(100);
  auto pause = kShortest;
  Clock::time_point changed = Clock::now();
  int64_t before = alive;
  for (;;) {
    INGOT_ASSIGN_OR_RETURN(const bool done, look());
    if (done) return absl::OkStatus();
    if (interrupted) return absl::CancelledError("no longer waiting for raw documents");
    if (alive != before) changed = Clock::now();
    before = alive;
    if (options.stall.count() > 0 && Clock::now() - changed > options.stall) {
      return absl::DeadlineExceededError(absl::StrFormat(
          "%s: expected another shard of the raw documents within %.0f s, none has come: the storage or the rank that "
          "tokenizes hangs, or is slower than that (training.deadline_scale allows more time)",
          options.cache, options.stall.count()));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongest);
  }
}

absl::Status CheckFailure(const GrowingStream::Options& options) {
  absl::Status failure;
  if (options.writer != nullptr) {
    failure = options.writer->status();
  } else if (const auto text = ReadFile(JoinPath(options.cache, kStreamFailure), 1 << 20); text.ok()) {
    failure = absl::InternalError(*text);
  }
  if (failure.ok()) return failure;
  return absl::Status(failure.code(), absl::StrCat("making tokens of the raw documents failed: ", failure.message()));
}

absl::StatusOr<Shard> OpenShard(const GrowingStream::Options& options, const DatasetManifest& manifest,
                                const ShardEntry& entry, bool check) {
  INGOT_ASSIGN_OR_RETURN(Shard shard, Shard::Open(JoinPath(options.cache, entry.file.name)));
  INGOT_RETURN_IF_ERROR(CheckShard(shard, entry, manifest));
  if (check) INGOT_RETURN_IF_ERROR(shard.VerifyChecksums());
  return shard;
}

// Changes with each new manifest; empty if there is none. Opening the file makes network file systems ask.
std::string Identity(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  struct stat info = {};
  const bool known = fstat(file, &info) == 0;
  close(file);
  if (!known) return "";
  return absl::StrCat(info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec, " ", info.st_mtim.tv_nsec);
}

}  // namespace

absl::Status GrowingStream::Add(const DatasetManifest& manifest) {
  const std::vector<ShardEntry>& shards = manifest.split(Split::kTraining).shards;
  for (size_t i = stream_.shards().size(); i < shards.size(); ++i) {
    const ShardEntry& entry = shards[i];
    INGOT_ASSIGN_OR_RETURN(Shard shard, OpenShard(options_, manifest, entry, stream_.tokens() < kCheckedTokens));
    stream_.Add(std::move(shard));
    const std::lock_guard lock(mutex_);
    const uint64_t before = marks_.empty() ? 0 : marks_.back().hash;
    const uint64_t hash = CombineHash(CombineHash(before, static_cast<uint64_t>(entry.tokens)), entry.file.crc32c);
    marks_.push_back({stream_.tokens(), hash});
    INGOT_RETURN_IF_ERROR(CheckMark());
  }
  tokens_ = stream_.tokens();
  const std::lock_guard lock(mutex_);
  complete_ = manifest.stream.has_value() && manifest.stream->complete;
  return absl::OkStatus();
}

// Shards that have come since the last look. A failure counts only when they do not suffice.
absl::Status GrowingStream::Look() {
  const std::string identity = Identity(JoinPath(options_.cache, kStreamManifest));
  if (identity == seen_) return CheckFailure(options_);
  INGOT_ASSIGN_OR_RETURN(const DatasetManifest manifest, ReadManifest(options_.cache));
  seen_ = identity;
  return Add(manifest);
}

absl::Status GrowingStream::Require(int64_t tokens) {
  int64_t needed = 0;
  {
    const std::lock_guard lock(mutex_);
    needed = std::max(tokens, expected_.tokens);
  }
  if (options_.writer != nullptr) options_.writer->Want(Split::kTraining, needed);
  const auto enough = [&] { return complete_ || stream_.tokens() >= needed; };
  if (!enough()) {
    const auto look = [&]() -> absl::StatusOr<bool> {
      INGOT_RETURN_IF_ERROR(Look());
      return enough();
    };
    INGOT_RETURN_IF_ERROR(PollUntil(options_, interrupted_, tokens_, look));
  }
  const std::lock_guard lock(mutex_);
  return CheckMark();
}

StreamMark GrowingStream::mark() const {
  const std::lock_guard lock(mutex_);
  return marks_.empty() ? StreamMark() : marks_.back();
}

absl::Status GrowingStream::Expect(const StreamMark& mark) {
  const std::lock_guard lock(mutex_);
  expected_ = mark;
  return CheckMark();
}

// OK as long as the stream is shorter than what is expected of it, unless it will not become longer.
absl::Status GrowingStream::CheckMark() const {
  const int64_t found = marks_.empty() ? 0 : marks_.back().tokens;
  if (expected_.tokens == 0 || (found < expected_.tokens && !complete_)) return absl::OkStatus();
  if (std::find(marks_.begin(), marks_.end(), expected_) != marks_.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      options_.cache, ": expected the ", expected_.tokens,
      " tokens that the checkpoint was trained on, found others: raw documents have changed, or come in another order; "
      "give the same documents, or another --output"));
}

absl::StatusOr<Dataset> OpenGrowing(const GrowingStream::Options& options, int64_t validation_tokens) {
  if (options.writer != nullptr) options.writer->Want(Split::kValidation, validation_tokens);
  const std::atomic<bool> interrupted{false};
  std::atomic<int64_t> alive{0};
  auto state = std::make_shared<DatasetState>();
  SplitEntry& validation = state->manifest.split(Split::kValidation);
  const auto look = [&]() -> absl::StatusOr<bool> {
    INGOT_RETURN_IF_ERROR(CheckFailure(options));
    INGOT_ASSIGN_OR_RETURN(state->manifest, ReadManifest(options.cache));
    if (!state->manifest.stream) return absl::FailedPreconditionError(absl::StrCat(options.cache, ": not a cache"));
    alive = state->manifest.split(Split::kTraining).tokens;
    return state->manifest.stream->complete || validation.tokens >= validation_tokens;
  };
  INGOT_RETURN_IF_ERROR(PollUntil(options, interrupted, alive, look));
  state->directory = options.cache;
  state->fingerprint = HashBytes(state->manifest.stream->rules);
  TokenStream& stream = state->streams[static_cast<size_t>(Split::kValidation)];
  for (const ShardEntry& entry : validation.shards) {
    if (stream.tokens() >= validation_tokens) break;
    INGOT_ASSIGN_OR_RETURN(Shard shard, OpenShard(options, state->manifest, entry, /*check=*/true));
    stream.Add(std::move(shard));
  }
  validation.tokens = stream.tokens();
  state->growing = std::make_shared<GrowingStream>(options);
  return Dataset(std::move(state));
}

}  // namespace ingot
