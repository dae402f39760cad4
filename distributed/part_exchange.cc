#include "distributed/part_exchange.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "kernels/cast.h"

namespace ingot {

int64_t PartExchange::OwnedBy(int64_t rank) const {
  int64_t elements = 0;
  for (const Interval& part : parts[rank]) elements += part.size();
  return elements;
}

int64_t PartExchange::ReceivedElements(int64_t rank) const {
  int64_t others = 0;
  for (size_t peer = 0; peer < buffers.size(); ++peer) {
    if (static_cast<int64_t>(peer) != rank) others += static_cast<int64_t>(buffers[peer].size());
  }
  return others * OwnedBy(rank);
}

int64_t PartExchange::NarrowElements(int64_t rank) const {
  int64_t elements = 0;
  for (size_t peer = 0; peer < buffers.size(); ++peer) {
    if (static_cast<int64_t>(peer) == rank) continue;
    const auto narrow = [](const std::vector<Wire>& all) { return std::count(all.begin(), all.end(), Wire::kBf16); };
    elements += narrow(buffers[rank]) * OwnedBy(static_cast<int64_t>(peer));  // sent
    elements += narrow(buffers[peer]) * OwnedBy(rank);                        // received
  }
  return elements;
}

absl::Status PartExchange::Run(Communicator& communicator, Context& ctx, const std::vector<float*>& own,
                               float* received, Bf16* narrow) const {
  const int64_t rank = communicator.rank();
  std::vector<Transfer> sends, receives;
  std::vector<Cast> widened;  // once all has come
  const auto take = [&narrow](const Interval& part) {
    return Tensor(std::exchange(narrow, narrow + part.size()), DType::kBf16, {part.size()});
  };
  for (int64_t peer = 0; peer < communicator.size(); ++peer) {
    if (peer == rank) continue;
    for (size_t i = 0; i < own.size(); ++i) {
      for (const Interval& part : parts[peer]) {
        const Tensor values(own[i] + part.begin, DType::kF32, {part.size()});
        const Tensor sent = buffers[rank][i] == Wire::kBf16 ? take(part) : values;
        if (sent.dtype == DType::kBf16) ctx.Run(Cast{.x = values, .y = sent});
        sends.push_back({peer, sent.ptr, Bytes(sent)});
      }
    }
    for (const Wire wire : buffers[peer]) {
      for (const Interval& part : parts[rank]) {
        const Tensor values(std::exchange(received, received + part.size()), DType::kF32, {part.size()});
        const Tensor comes = wire == Wire::kBf16 ? take(part) : values;
        if (comes.dtype == DType::kBf16) widened.push_back({.x = comes, .y = values});
        receives.push_back({peer, comes.ptr, Bytes(comes)});
      }
    }
  }
  INGOT_RETURN_IF_ERROR(communicator.Exchange(sends, receives, ctx));
  for (const Cast& cast : widened) ctx.Run(cast);
  return absl::OkStatus();
}

std::vector<std::vector<float*>> PartExchange::At(int64_t rank, size_t part, const std::vector<float*>& own,
                                                  float* received) const {
  int64_t before = 0;
  for (size_t i = 0; i < part; ++i) before += parts[rank][i].size();
  std::vector<std::vector<float*>> at(buffers.size());
  for (size_t peer = 0; peer < buffers.size(); ++peer) {
    for (size_t i = 0; i < buffers[peer].size(); ++i) {
      if (static_cast<int64_t>(peer) == rank) {
        at[peer].push_back(own[i] + parts[rank][part].begin);
        continue;
      }
      at[peer].push_back(received + before);
      received += OwnedBy(rank);
    }
  }
  return at;
}

}  // namespace ingot
