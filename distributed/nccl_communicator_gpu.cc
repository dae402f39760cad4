#include <cuda_runtime_api.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "distributed/nccl_communicator.h"
#include "distributed/nccl_library_gpu.h"
#include "distributed/staging.h"
#include "kernels/cuda/runtime.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kVerdictWait{500};  // an error here is mostly the echo of a death that rank 0 is about to name
constexpr Milliseconds kStart{120000};     // for all ranks to connect
constexpr Milliseconds kEnd{5000};         // for NCCL's own threads to end: known to hang at times
constexpr Milliseconds kImpatience{2};     // an exchange that takes no longer is not slept over
constexpr std::chrono::microseconds kPoll{20};
constexpr char kIdKey[] = "nccl/id";

absl::Status FromCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("NCCL's stream, ", what, ": ", cudaGetErrorString(error)));
}

// Memory on the GPU that NCCL may read and write, grown to need.
class StagingBuffer {
 public:
  explicit StagingBuffer(const Nccl& nccl) : nccl_(nccl) {}
  ~StagingBuffer() { Release(nullptr); }

  // Registered with `comm` where the library can. What it held is lost.
  absl::Status Reserve(int64_t bytes, ncclComm_t comm) {
    if (bytes <= bytes_) return absl::OkStatus();
    Release(comm);
    if (!nccl_.registers()) {
      INGOT_ASSIGN_OR_RETURN(memory_, cuda::Allocate("messages between ranks", bytes));
      bytes_ = bytes;
      return absl::OkStatus();
    }
    INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.MemAlloc(&memory_, static_cast<size_t>(bytes)), "memory for messages"));
    bytes_ = bytes;
    return nccl_.Check(nccl_.CommRegister(comm, memory_, static_cast<size_t>(bytes), &handle_), "registering memory",
                       comm);
  }
  // `comm` null: it is gone, and its registrations with it.
  void Release(ncclComm_t comm) {
    if (comm != nullptr && handle_ != nullptr) nccl_.CommDeregister(comm, handle_);
    handle_ = nullptr;
    if (memory_ != nullptr && nccl_.registers()) nccl_.MemFree(memory_);
    if (memory_ != nullptr && !nccl_.registers()) cuda::Free(memory_);
    memory_ = nullptr;
    bytes_ = 0;
  }
  char* data() const { return static_cast<char*>(memory_); }

 private:
  const Nccl& nccl_;
  void* memory_ = nullptr;
  void* handle_ = nullptr;
  int64_t bytes_ = 0;
};

class NcclRanks : public Communicator {
 public:
  NcclRanks(const Nccl& nccl, ControlPlane& control, Milliseconds limit)
      : Communicator(control.rank(), control.size()), nccl_(nccl), control_(control), limit_(limit), staging_(nccl) {}
  ~NcclRanks() override;

  absl::Status Start() {
    const absl::Status status = Connect();
    return status.ok() ? status : Broken(status);
  }

 protected:
  absl::Status ExchangeWithOthers(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                  const Context& where) override;

 private:
  absl::Status Connect();
  // Messages of the host.
  absl::Status Staged(const StagedRound& round);
  // Messages of the GPU, in the order of a stream.
  absl::Status Post(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives, void* stream);
  // Until NCCL has taken its last call, or a verdict came, or time is up.
  absl::Status AwaitCall(const std::string& what, Milliseconds limit);
  absl::Status AwaitStream(void* stream);
  absl::Status Watch(Clock::time_point start, Milliseconds limit, const std::string& what);
  // The error to leave with: the verdict that `why` is an echo of, or itself. The communicator is over.
  absl::Status Broken(const absl::Status& why);
  void Abort();

  const Nccl& nccl_;
  ControlPlane& control_;
  const Milliseconds limit_;
  ncclComm_t comm_ = nullptr;
  void* stream_ = nullptr;  // of messages of the host
  StagingBuffer staging_;
  absl::Status broken_;
};

// What the library reads from the environment at its first call. Its own rendezvous does not authenticate: it stays on
// the interface of the control plane.
absl::Status PrepareEnvironment(const std::string& interface) {
  for (const char* const name : {"NCCL_COMM_ID", "NCCL_COMM_BLOCKING"}) {
    if (getenv(name) == nullptr) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(name,
                     " is set, which overrides how the ranks of a run find each other or how they give up on one "
                     "that died: unset it"));
  }
  if (!interface.empty()) setenv("NCCL_SOCKET_IFNAME", absl::StrCat("=", interface).c_str(), /*replace=*/0);
  setenv("NCCL_RAS_ENABLE", "0", /*replace=*/0);  // a port of its own that any user of the machine may ask
  return absl::OkStatus();
}

absl::Status NcclRanks::Connect() {
  ncclUniqueId id;
  if (rank() == 0) {
    INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.GetUniqueId(&id), "the id of this run"));
    INGOT_RETURN_IF_ERROR(control_.Put(kIdKey, std::string(id.internal, sizeof(id.internal))));
  } else {
    INGOT_ASSIGN_OR_RETURN(const std::string bytes, control_.Get(kIdKey));
    INGOT_CHECK(bytes.size() == sizeof(id.internal), "an id of %zu bytes", bytes.size());
    std::memcpy(id.internal, bytes.data(), sizeof(id.internal));
  }
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = "ingot";
  const std::string what = absl::StrCat("rank ", rank(), " of ", size(), " connects");
  const ncclResult_t result =
      nccl_.CommInitRankConfig(&comm_, static_cast<int>(size()), id, static_cast<int>(rank()), &config);
  INGOT_RETURN_IF_ERROR(nccl_.Check(result, what, comm_));
  INGOT_RETURN_IF_ERROR(AwaitCall(what, kStart));
  INGOT_ASSIGN_OR_RETURN(stream_, cuda::CreateStream());
  return absl::OkStatus();
}

NcclRanks::~NcclRanks() {
  if (comm_ != nullptr && broken_.ok()) {
    staging_.Release(comm_);
    if (nccl_.Check(nccl_.CommFinalize(comm_), "leaving", comm_).ok() && AwaitCall("leaving", kEnd).ok()) {
      nccl_.CommDestroy(std::exchange(comm_, nullptr));
    }
  }
  Abort();
  if (stream_ != nullptr) cuda::DestroyStream(stream_);
}

// In a thread of its own, since it has been seen to hang; this process is about to leave anyway.
void NcclRanks::Abort() {
  ncclComm_t const comm = std::exchange(comm_, nullptr);
  if (comm == nullptr) return;
  auto done = std::make_shared<std::promise<void>>();
  std::thread([abort = nccl_.CommAbort, comm, done] {
    abort(comm);
    done->set_value();
  }).detach();
  done->get_future().wait_for(kEnd);
}

absl::Status NcclRanks::Broken(const absl::Status& why) {
  const std::optional<Verdict> verdict = control_.WaitForVerdict(kVerdictWait);
  broken_ = verdict.has_value() ? StatusOf(*verdict) : why;
  Abort();
  return broken_;
}

absl::Status NcclRanks::Watch(Clock::time_point start, Milliseconds limit, const std::string& what) {
  if (control_.WaitForVerdict(Milliseconds(0)).has_value()) return absl::UnavailableError("the run is over");
  const auto waited = Clock::now() - start;
  if (waited > limit) return absl::DeadlineExceededError(absl::StrCat("NCCL, ", what, ": no end in sight"));
  if (waited > kImpatience) std::this_thread::sleep_for(kPoll);
  return absl::OkStatus();
}

absl::Status NcclRanks::AwaitCall(const std::string& what, Milliseconds limit) {
  for (const Clock::time_point start = Clock::now();;) {
    ncclResult_t state = ncclSuccess;
    INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.CommGetAsyncError(comm_, &state), what, comm_));
    INGOT_RETURN_IF_ERROR(nccl_.Check(state, what, comm_));
    if (state == ncclSuccess) return absl::OkStatus();
    INGOT_RETURN_IF_ERROR(Watch(start, limit, what));
  }
}

absl::Status NcclRanks::AwaitStream(void* stream) {
  for (const Clock::time_point start = Clock::now();;) {
    const cudaError_t state = cudaStreamQuery(static_cast<cudaStream_t>(stream));
    if (state != cudaErrorNotReady) return FromCuda(state, "an exchange");
    ncclResult_t error = ncclSuccess;
    INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.CommGetAsyncError(comm_, &error), "an exchange", comm_));
    INGOT_RETURN_IF_ERROR(nccl_.Check(error, "an exchange", comm_));
    INGOT_RETURN_IF_ERROR(Watch(start, limit_, "an exchange"));
  }
}

absl::Status NcclRanks::ExchangeWithOthers(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                           const Context& where) {
  if (!broken_.ok()) return broken_;
  const absl::Status status = where.device() == Device::kCuda
                                  ? Post(sends, receives, where.stream())
                                  : ExchangeStaged(sends, receives, StagedChunk(size()),
                                                   [this](const StagedRound& round) { return Staged(round); });
  return status.ok() ? status : Broken(WithExitCode(status, ExitCode::kPeer));
}

absl::Status NcclRanks::Staged(const StagedRound& round) {
  INGOT_RETURN_IF_ERROR(staging_.Reserve(round.bytes, comm_));
  std::vector<Transfer> sends, receives;
  for (const StagedPart& part : round.sends) {
    sends.push_back(part.In(staging_.data()));
    INGOT_RETURN_IF_ERROR(cuda::CopyToDevice(sends.back().data, part.data, part.bytes, stream_));
  }
  for (const StagedPart& part : round.receives) receives.push_back(part.In(staging_.data()));
  // A copy to memory that is not page-locked blocks: not before there is something to copy.
  INGOT_RETURN_IF_ERROR(Post(sends, receives, stream_));
  for (const StagedPart& part : round.receives) {
    INGOT_RETURN_IF_ERROR(cuda::CopyToHost(part.data, part.In(staging_.data()).data, part.bytes, stream_));
  }
  return AwaitStream(stream_);
}

absl::Status NcclRanks::Post(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives, void* stream) {
  auto* const queue = static_cast<cudaStream_t>(stream);
  INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.GroupStart(), "a group of messages", comm_));
  for (const Transfer& send : sends) {
    INGOT_RETURN_IF_ERROR(nccl_.Check(
        nccl_.Send(send.data, static_cast<size_t>(send.bytes), ncclInt8, static_cast<int>(send.peer), comm_, queue),
        absl::StrCat("sending to rank ", send.peer), comm_));
  }
  for (const Transfer& receive : receives) {
    INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.Recv(receive.data, static_cast<size_t>(receive.bytes), ncclInt8,
                                                 static_cast<int>(receive.peer), comm_, queue),
                                      absl::StrCat("receiving from rank ", receive.peer), comm_));
  }
  INGOT_RETURN_IF_ERROR(nccl_.Check(nccl_.GroupEnd(), "a group of messages", comm_));
  INGOT_RETURN_IF_ERROR(AwaitCall("a group of messages", limit_));
  return AwaitStream(stream);
}

}  // namespace

absl::StatusOr<std::string> NcclName() {
  const absl::StatusOr<Nccl>& nccl = OpenNccl();
  if (!nccl.ok()) return nccl.status();
  return absl::StrCat("NCCL ", nccl->version, ", ", nccl->path);
}

absl::StatusOr<std::unique_ptr<Communicator>> NcclCommunicator(ControlPlane& control, Milliseconds limit) {
  INGOT_RETURN_IF_ERROR(PrepareEnvironment(InterfaceOfAddress(control.local_address())));
  const absl::StatusOr<Nccl>& nccl = OpenNccl();
  INGOT_RETURN_IF_ERROR(nccl.status());
  auto communicator = std::make_unique<NcclRanks>(*nccl, control, limit);
  INGOT_RETURN_IF_ERROR(communicator->Start());
  return communicator;
}

}  // namespace ingot
