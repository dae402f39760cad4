#include "distributed/part_exchange.h"

#include <cstring>

#include "core/base/bf16.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

int64_t BytesOf(PartExchange::Wire wire, int64_t elements) {
  return elements * static_cast<int64_t>(wire == PartExchange::Wire::kBf16 ? sizeof(Bf16) : sizeof(float));
}

// Where the values of 2 bytes lie that come for `count` floats at `to`: in the second half, so that spreading them from
// the first on writes over none that is still to be read.
Bf16* ComesTo(float* to, int64_t count) { return reinterpret_cast<Bf16*>(to) + count; }

void Spread(float* to, int64_t count) {
  const char* const from = reinterpret_cast<const char*>(ComesTo(to, count));
  for (int64_t i = 0; i < count; ++i) {
    Bf16 value;
    std::memcpy(&value, from + i * static_cast<int64_t>(sizeof(value)), sizeof(value));
    const float wide = ToFloat(value);
    std::memcpy(reinterpret_cast<char*>(to) + i * static_cast<int64_t>(sizeof(wide)), &wide, sizeof(wide));
  }
}

}  // namespace

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

int64_t PartExchange::StagedElements(int64_t rank) const {
  int64_t staged = 0;
  for (const Wire wire : buffers[rank]) {
    for (size_t peer = 0; wire == Wire::kBf16 && peer < parts.size(); ++peer) {
      if (static_cast<int64_t>(peer) != rank) staged += OwnedBy(static_cast<int64_t>(peer));
    }
  }
  return staged;
}

absl::Status PartExchange::Run(Communicator& communicator, const std::vector<float*>& own, float* received,
                               Bf16* staged) const {
  const int64_t rank = communicator.rank();
  std::vector<Transfer> sends, receives;
  std::vector<Interval> narrow;  // what comes in 2 bytes: elements of `received`
  float* const begin = received;
  for (int64_t peer = 0; peer < communicator.size(); ++peer) {
    if (peer == rank) continue;
    for (size_t i = 0; i < own.size(); ++i) {
      for (const Interval& part : parts[peer]) {
        float* const values = own[i] + part.begin;
        if (buffers[rank][i] == Wire::kF32) {
          sends.push_back({peer, values, BytesOf(Wire::kF32, part.size())});
          continue;
        }
        for (int64_t n = 0; n < part.size(); ++n) staged[n] = ToBf16(values[n]);
        sends.push_back({peer, staged, BytesOf(Wire::kBf16, part.size())});
        staged += part.size();
      }
    }
    for (const Wire wire : buffers[peer]) {
      for (const Interval& part : parts[rank]) {
        const bool wide = wire == Wire::kF32;
        void* const to = wide ? static_cast<void*>(received) : ComesTo(received, part.size());
        receives.push_back({peer, to, BytesOf(wire, part.size())});
        if (!wide) narrow.push_back({received - begin, received - begin + part.size()});
        received += part.size();
      }
    }
  }
  INGOT_RETURN_IF_ERROR(communicator.Exchange(sends, receives));
  for (const Interval& values : narrow) Spread(begin + values.begin, values.size());
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
