#include "core/training/checkpoint_layout.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/training/flat_parts.h"

namespace ingot {
namespace {

constexpr size_t kMaxFiles = 1500;  // 16 bytes each leave more than half of a message for what else is said
constexpr char kOptimizerPrefix[] = "training_state/optimizer-";
constexpr char kEnding[] = ".safetensors";

// As transformers numbers its shards, from 1; a single file has no number.
std::string WeightsName(size_t i, size_t N) {
  return N == 1 ? absl::StrCat("model", kEnding) : absl::StrFormat("model-%05d-of-%05d%s", i + 1, N, kEnding);
}

std::string OptimizerName(size_t i, size_t N) {
  return absl::StrFormat("%s%05d-of-%05d%s", kOptimizerPrefix, i, N, kEnding);
}

// `bytes`: of one element.
std::vector<CheckpointFile> Cut(const ParameterTable& table, int64_t bytes, int64_t shard_bytes, bool optimizer) {
  std::vector<CheckpointFile> files(1);
  for (size_t i = 0; i < table.specs.size(); ++i) {
    const ParameterSpec& spec = table.specs[i];
    const int64_t its = Count(spec) * bytes;
    if (files.back().bytes > 0 && files.back().bytes + its > shard_bytes) files.emplace_back();
    CheckpointFile& file = files.back();
    if (file.bytes == 0) {
      file.first = i;
      file.elements.begin = spec.offset;
    }
    file.last = i + 1;
    file.elements.end = spec.offset + Count(spec);
    file.bytes += its;
  }
  for (size_t i = 0; i < files.size(); ++i) {
    if (i + 1 < files.size()) files[i].elements.end = files[i + 1].elements.begin;
    files[i].optimizer = optimizer;
    files[i].name = optimizer ? OptimizerName(i, files.size()) : WeightsName(i, files.size());
  }
  return files;
}

}  // namespace

std::vector<CheckpointFile> CutCheckpoint(const ParameterTable& table, const CheckpointFormat& format) {
  const int64_t state = 2 * SizeOf(format.moments) + (format.has_masters() ? SizeOf(DType::kF32) : 0);
  std::vector<CheckpointFile> files = Cut(table, SizeOf(format.weights), format.shard_bytes, false);
  for (CheckpointFile& file : Cut(table, state, format.shard_bytes, true)) files.push_back(std::move(file));
  return files;
}

absl::Status CheckNumberOfFiles(const std::vector<CheckpointFile>& files, const CheckpointFormat& format) {
  if (files.size() <= kMaxFiles) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("checkpoint.shard_bytes: expected so many bytes that a checkpoint has at most ", kMaxFiles,
                   " files, found ", format.shard_bytes, ", which makes ", files.size(), "; raise it"));
}

bool IsOptimizerFile(const std::string& name) {
  return absl::StartsWith(name, kOptimizerPrefix) && absl::EndsWith(name, kEnding);
}

std::vector<int64_t> DealInOrder(const std::vector<int64_t>& bytes, int64_t ranks) {
  using Wide = __int128;  // bytes times ranks
  const Wide all = std::max<Wide>(1, std::accumulate(bytes.begin(), bytes.end(), Wide{0}));
  std::vector<int64_t> dealt;
  Wide before = 0;
  for (const int64_t its : bytes) {
    dealt.push_back(std::min(ranks - 1, static_cast<int64_t>((2 * before + its) * ranks / (2 * all))));
    before += its;
  }
  return dealt;
}

std::vector<int64_t> DealFiles(const std::vector<CheckpointFile>& files, int64_t ranks) {
  std::vector<size_t> order(files.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto middle = [&files](size_t i) { return files[i].elements.begin + files[i].elements.end; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return middle(a) < middle(b); });
  std::vector<int64_t> bytes;
  for (const size_t i : order) bytes.push_back(files[i].bytes);
  const std::vector<int64_t> dealt = DealInOrder(bytes, ranks);
  std::vector<int64_t> writers(files.size());
  for (size_t n = 0; n < order.size(); ++n) writers[order[n]] = dealt[n];
  return writers;
}

FlatNeeds NeedsOf(int64_t rank, const std::vector<CheckpointFile>& files, const std::vector<int64_t>& writers,
                  const CheckpointFormat& format) {
  FlatNeeds needs;
  for (size_t i = 0; i < files.size(); ++i) {
    if (writers[i] != rank) continue;
    if (files[i].optimizer) needs.moments.push_back(files[i].elements);
    if (!files[i].optimizer || format.has_masters()) needs.parameters.push_back(files[i].elements);
  }
  return {.parameters = Joined(std::move(needs.parameters)), .moments = Joined(std::move(needs.moments))};
}

}  // namespace ingot
