// The communicator over Gloo: point-to-point messages of unbound buffers, its rendezvous through our control plane,
// its exceptions caught at this door.
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include <csignal>
#include <exception>
#include <map>
#include <optional>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "core/base/arena.h"
#include "core/base/status_macros.h"
#include "distributed/communicator.h"
#include "distributed/sha256.h"
#include "distributed/staging.h"
#include "kernels/cuda/runtime.h"

namespace ingot {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kVerdictWait{500};  // an error here is mostly the echo of a death that rank 0 is about to name
constexpr int kIndexBits = 20;             // of a slot: messages of one exchange between two ranks

// Gloo's rendezvous in the control plane's table, under a name of this start. Every wait has a limit.
class ControlStore : public gloo::rendezvous::Store {
 public:
  explicit ControlStore(ControlPlane& control) : control_(control) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    Throw(control_.Put("gloo/" + key, std::string(data.begin(), data.end())));
  }
  std::vector<char> get(const std::string& key) override {
    const auto value = control_.Get("gloo/" + key);
    Throw(value.status());
    return {value->begin(), value->end()};
  }
  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) get(key);
  }
  void wait(const std::vector<std::string>& keys, const Milliseconds&) override { wait(keys); }

  // Of the exception that left this store last.
  const absl::Status& status() const { return status_; }

 private:
  void Throw(const absl::Status& status) {
    if (status.ok()) return;
    status_ = status;
    throw std::runtime_error(std::string(status.message()));
  }
  ControlPlane& control_;
  absl::Status status_;
};

class Gloo : public Communicator {
 public:
  Gloo(ControlPlane& control, Milliseconds limit)
      : Communicator(control.rank(), control.size()), control_(control), limit_(limit) {}

  absl::Status Connect();

 protected:
  absl::Status ExchangeWithOthers(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                  const Context& where) override;

 private:
  absl::Status Move(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives);
  void Post(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives);
  absl::StatusOr<void*> Staging(int64_t bytes);
  absl::Status Staged(const StagedRound& round, void* stream);
  absl::Status Authenticate();
  absl::Status Explained(const std::string& what);

  ControlPlane& control_;
  const Milliseconds limit_;
  std::shared_ptr<gloo::rendezvous::Context> context_;
  std::map<int64_t, uint64_t> sent_, received_;  // messages of this exchange so far, by peer
  std::optional<Arena> staging_;                 // page-locked, for messages of a device
  absl::Status broken_;
};

// What Gloo says names a port, not a rank. The control plane knows better, a moment later.
absl::Status Gloo::Explained(const std::string& what) {
  const std::optional<Verdict> verdict = control_.WaitForVerdict(kVerdictWait);
  if (verdict.has_value()) return StatusOf(*verdict);
  return WithExitCode(absl::UnavailableError(absl::StrCat("the exchange between ranks failed: ", what)),
                      ExitCode::kPeer);
}

absl::Status Gloo::Connect() {
  ControlStore store(control_);
  try {
    gloo::transport::tcp::attr attributes;
    attributes.hostname = control_.local_address();
    auto device = gloo::transport::tcp::CreateDevice(attributes);
    context_ = std::make_shared<gloo::rendezvous::Context>(static_cast<int>(rank()), static_cast<int>(size()));
    context_->setTimeout(limit_);
    context_->connectFullMesh(store, device);
  } catch (const std::exception& error) {
    if (!store.status().ok()) return store.status();
    return Explained(error.what());
  }
  return Authenticate();
}

// Gloo takes whoever connects first. So the first message of each pair proves that the one at the other end heard
// rank 0's number over the authenticated control plane.
absl::Status Gloo::Authenticate() {
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> keys, control_.Gather("data plane", RandomBytes(32)));
  const auto proof = [&](int64_t from, int64_t to) { return HmacSha256(keys[0], absl::StrCat(from, ">", to)); };
  std::vector<std::string> sent(static_cast<size_t>(size())), received(sent.size());
  std::vector<Transfer> sends, receives;
  for (int64_t peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    sent[peer] = proof(rank(), peer);
    received[peer].resize(sent[peer].size());
    sends.push_back({peer, sent[peer].data(), static_cast<int64_t>(sent[peer].size())});
    receives.push_back({peer, received[peer].data(), static_cast<int64_t>(received[peer].size())});
  }
  INGOT_RETURN_IF_ERROR(Exchange(sends, receives));
  for (int64_t peer = 0; peer < size(); ++peer) {
    if (peer == rank() || EqualInConstantTime(received[peer], proof(peer, rank()))) continue;
    return WithExitCode(
        absl::PermissionDeniedError(absl::StrCat("whoever connected as rank ", peer, " is not of this run")),
        ExitCode::kSecret);
  }
  return absl::OkStatus();
}

absl::Status Gloo::ExchangeWithOthers(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                      const Context& where) {
  if (!broken_.ok()) return broken_;
  sent_.clear();
  received_.clear();
  const auto staged = [&](const StagedRound& round) { return Staged(round, where.stream()); };
  broken_ = where.device() == Device::kCpu ? Move(sends, receives)
                                           : ExchangeStaged(sends, receives, StagedChunk(size()), staged);
  return broken_;
}

// Grown to need; what was there is lost.
absl::StatusOr<void*> Gloo::Staging(int64_t bytes) {
  constexpr char kName[] = "messages between ranks";
  if (!staging_.has_value() || staging_->bytes() < bytes) {
    staging_.reset();
    INGOT_ASSIGN_OR_RETURN(void* const memory, cuda::AllocatePinned(kName, bytes));
    staging_ = Arena::Over(kName, memory, bytes, cuda::FreePinned);
  }
  return staging_->At(0, bytes);
}

// Messages of a device.
absl::Status Gloo::Staged(const StagedRound& round, void* stream) {
  INGOT_ASSIGN_OR_RETURN(void* const staging, Staging(round.bytes));
  std::vector<Transfer> sends, receives;
  for (const StagedPart& part : round.sends) {
    sends.push_back(part.In(staging));
    INGOT_RETURN_IF_ERROR(cuda::CopyToHost(sends.back().data, part.data, part.bytes, stream));
  }
  INGOT_RETURN_IF_ERROR(cuda::Synchronize(stream));
  for (const StagedPart& part : round.receives) receives.push_back(part.In(staging));
  INGOT_RETURN_IF_ERROR(Move(sends, receives));
  for (const StagedPart& part : round.receives) {
    INGOT_RETURN_IF_ERROR(cuda::CopyToDevice(part.data, part.In(staging).data, part.bytes, stream));
  }
  return cuda::Synchronize(stream);
}

absl::Status Gloo::Move(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives) {
  try {
    Post(sends, receives);
  } catch (const std::exception& error) {
    return Explained(error.what());
  }
  return absl::OkStatus();
}

void Gloo::Post(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives) {
  std::vector<std::unique_ptr<gloo::transport::UnboundBuffer>> buffers;
  const auto post = [&](absl::Span<const Transfer> transfers, bool receive) {
    for (const Transfer& transfer : transfers) {
      uint64_t& messages = (receive ? received_ : sent_)[transfer.peer];
      const uint64_t slot = exchanges() << kIndexBits | messages++;
      auto& buffer =
          buffers.emplace_back(context_->createUnboundBuffer(transfer.data, static_cast<size_t>(transfer.bytes)));
      if (receive) {
        buffer->recv(static_cast<int>(transfer.peer), slot);
      } else {
        buffer->send(static_cast<int>(transfer.peer), slot);
      }
    }
  };
  post(receives, true);
  post(sends, false);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const bool done = i < receives.size() ? buffers[i]->waitRecv(limit_) : buffers[i]->waitSend(limit_);
    if (!done) throw std::runtime_error("a message was given up");
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> GlooCommunicator(ControlPlane& control, Milliseconds limit) {
  // Gloo writes to sockets without MSG_NOSIGNAL: a peer that dies would kill this process without a word.
  std::signal(SIGPIPE, SIG_IGN);
  auto communicator = std::make_unique<Gloo>(control, limit);
  INGOT_RETURN_IF_ERROR(communicator->Connect());
  return communicator;
}

}  // namespace ingot
