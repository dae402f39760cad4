#include "distributed/control_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "distributed/link.h"
#include "distributed/sha256.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kGrace{10000};       // that rank 0's own deadline gets before ours
constexpr Milliseconds kVerdictWait{1000};  // for the verdict on one's own failure
constexpr std::chrono::seconds kSelfStopped{2};

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

// A connected socket, or an error.
absl::StatusOr<int> ConnectTo(const Meeting& meeting, Milliseconds limit) {
  const std::string where = absl::StrCat(meeting.address, ":", meeting.port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(meeting.port));
  if (inet_pton(AF_INET, meeting.address.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("expected an IPv4 address of rank 0, found ", meeting.address));
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = 0;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    error = errno;
    pollfd polled = {fd, POLLOUT, 0};
    socklen_t size = sizeof(error);
    if (error == EINPROGRESS && poll(&polled, 1, static_cast<int>(limit.count())) == 1) {
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
  }
  if (error == 0) return fd;
  close(fd);
  return absl::ErrnoToStatus(error, absl::StrCat("rank 0 at ", where));
}

absl::StatusOr<Frame> ReadFrame(Link& link, Clock::time_point until) {
  for (bool open = true;;) {
    Frame frame;
    const FrameResult result = link.Take(frame);
    if (result == FrameResult::kWhole) return frame;
    if (result == FrameResult::kBad) return absl::UnavailableError("what answers is no rank 0 of this protocol");
    if (!open || !link.Flush()) return absl::UnavailableError(absl::StrCat("rank 0: ", link.why()));
    const auto left = std::chrono::duration_cast<Milliseconds>(until - Clock::now());
    pollfd polled = {link.socket(), static_cast<int16_t>(link.wants_to_write() ? POLLIN | POLLOUT : POLLIN), 0};
    if (left.count() <= 0 || poll(&polled, 1, static_cast<int>(left.count())) == 0) {
      return absl::DeadlineExceededError("rank 0 does not answer the handshake");
    }
    open = link.Fill();
  }
}

// The handshake on a fresh connection; afterwards both directions are authenticated.
absl::Status Greet(Link& link, const Meeting& meeting, const ControlClientOptions& options) {
  const Clock::time_point until = Clock::now() + options.deadlines.handshake;
  INGOT_ASSIGN_OR_RETURN(const Frame challenge, ReadFrame(link, until));
  WireReader reader(challenge.payload);
  const std::string server_nonce = reader.Text(), run_id = reader.Text();
  if (challenge.type != FrameType::kChallenge || !reader.done() || server_nonce.size() != 32) {
    return absl::UnavailableError("what answers is no rank 0 of this protocol");
  }
  if (run_id != meeting.run_id) {
    return absl::UnavailableError(
        absl::StrCat("rank 0 belongs to another start (", run_id, ", not ", meeting.run_id, ")"));
  }
  const std::string nonce = RandomBytes(32);
  WireWriter hello;
  hello.Number(static_cast<uint64_t>(options.rank)).Number(static_cast<uint64_t>(options.size)).Text(options.source);
  hello.Text(HostName()).Number(static_cast<uint64_t>(getpid())).Text(nonce);
  link.SendPlain(FrameType::kHello, hello.bytes(), ClientProof(meeting.secret, server_nonce, hello.bytes()));
  if (!link.Flush()) return absl::UnavailableError(absl::StrCat("rank 0: ", link.why()));
  INGOT_ASSIGN_OR_RETURN(const Frame answer, ReadFrame(link, until));
  if (answer.type == FrameType::kRefused) {
    return WithExitCode(absl::PermissionDeniedError(absl::StrCat("rank 0 refuses this rank: ", answer.payload)),
                        ExitCode::kSecret);
  }
  if (answer.type != FrameType::kWelcome ||
      !EqualInConstantTime(answer.mac, ServerProof(meeting.secret, server_nonce, nonce))) {
    return WithExitCode(absl::PermissionDeniedError("what answers as rank 0 does not know the secret"),
                        ExitCode::kSecret);
  }
  link.SetKey(ConnectionKey(meeting.secret, server_nonce, nonce));
  return absl::OkStatus();
}

std::string LocalAddressOf(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  char text[INET_ADDRSTRLEN] = "";
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "127.0.0.1";
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  return text;
}

class Client : public ControlClient {
 public:
  Client(ControlClientOptions options, Link link)
      : options_(std::move(options)),
        local_address_(LocalAddressOf(link.socket())),
        link_(std::move(link)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { Loop(); });
  }
  ~Client() override {
    Leave();
    stop_ = true;
    Wake();
    thread_.join();
    close(wake_);
  }

  absl::StatusOr<std::vector<std::string>> Gather(const std::string& name, const std::string& blob,
                                                  Milliseconds limit) override;
  absl::Status Compare(const std::vector<ComparedField>& fields) override;
  absl::Status Put(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key, Milliseconds limit) override;
  absl::StatusOr<std::optional<std::string>> Claim(const std::string& key, Milliseconds limit) override;
  const std::string& local_address() const override { return local_address_; }
  void Report(const RankProgress& progress) override;
  void Fail(ExitCode code, const std::string& text) override;
  void Stuck(const std::string& text) override;
  void TellEnded(int64_t rank, int64_t pid) override;
  void Leave() override;
  std::optional<Verdict> WaitForVerdict(Milliseconds limit) override;

 private:
  void Loop();
  void Wake() {
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof(one));
  }
  void Receive();
  void Handle(const Frame& frame);
  void Decide(const Verdict& verdict);
  absl::Status Send(FrameType type, const std::string& payload);
  // Waits until `ready` holds, a verdict comes, or time is up.
  absl::Status Await(const std::string& what, Milliseconds limit, const std::function<bool()>& ready);

  const ControlClientOptions options_;
  const std::string local_address_;
  std::mutex mutex_;  // everything below
  std::condition_variable changed_;
  Link link_;
  std::map<std::string, std::vector<std::string>> gathered_;
  std::map<std::string, std::string> values_;
  std::set<std::string> claimed_;  // keys that this rank is to find
  bool agreed_ = false, left_ = false, lost_ = false;
  RankProgress progress_;
  std::optional<Verdict> verdict_;
  Clock::time_point heard_ = Clock::now(), greeted_ = heard_;
  bool told_ = false;  // on_verdict has been called
  std::atomic<bool> stop_{false};
  const int wake_;
  std::thread thread_;
};

void Client::Loop() {
  Clock::time_point before = Clock::now();
  for (;;) {
    pollfd polled[2] = {{-1, POLLIN, 0}, {wake_, POLLIN, 0}};
    {
      const std::lock_guard lock(mutex_);
      if (!lost_)
        polled[0] = {link_.socket(), static_cast<int16_t>(link_.wants_to_write() ? POLLIN | POLLOUT : POLLIN), 0};
    }
    const auto tick = std::min<Milliseconds>(options_.deadlines.heartbeat, Milliseconds(100));
    poll(polled, 2, static_cast<int>(tick.count()));
    uint64_t count;
    if (polled[1].revents != 0) (void)!read(wake_, &count, sizeof(count));
    std::optional<Verdict> tell;
    {
      const std::lock_guard lock(mutex_);
      const Clock::time_point now = Clock::now();
      if (now - before > kSelfStopped) heard_ = now;
      before = now;
      Receive();
      if (verdict_.has_value() && !std::exchange(told_, true)) tell = verdict_;
      if (stop_ && (lost_ || !link_.wants_to_write())) return;
    }
    if (tell.has_value() && options_.on_verdict) options_.on_verdict(*tell);
  }
}

void Client::Receive() {
  if (lost_) return;
  const Clock::time_point now = Clock::now();
  const bool open = link_.Fill();
  Frame frame;
  FrameResult result;
  while ((result = link_.Take(frame)) == FrameResult::kWhole) Handle(frame);
  if (result == FrameResult::kBad) Decide({0, ExitCode::kSecret, "rank 0 sent a frame that is not authentic"});
  if (!left_ && now - greeted_ > options_.deadlines.heartbeat) {
    greeted_ = now;
    link_.Send(FrameType::kHeartbeat, WireWriter()
                                          .Number(progress_.step)
                                          .Number(static_cast<uint64_t>(progress_.phase))
                                          .Number(progress_.collectives)
                                          .bytes());
  }
  const bool flushed = link_.Flush();
  if (!open || !flushed || result == FrameResult::kBad) {
    lost_ = true;
    if (!left_) Decide({0, ExitCode::kPeer, absl::StrCat("rank 0 died: ", link_.why())});
    changed_.notify_all();
  } else if (!left_ && now - heard_ > options_.deadlines.silence) {
    Decide({0, ExitCode::kPeer,
            absl::StrFormat("rank 0 is silent for %.1f s: it is stopped or its machine is gone",
                            std::chrono::duration<double>(now - heard_).count())});
  }
}

void Client::Handle(const Frame& frame) {
  heard_ = Clock::now();
  WireReader reader(frame.payload);
  if (frame.type == FrameType::kGathered) {
    std::vector<std::string>& blobs = gathered_[reader.Text()];
    while (reader.ok() && !reader.done()) blobs.push_back(reader.Text());
  } else if (frame.type == FrameType::kAgreed) {
    agreed_ = true;
  } else if (frame.type == FrameType::kValue) {
    const std::string key = reader.Text();
    values_[key] = reader.Text();
  } else if (frame.type == FrameType::kYours) {
    claimed_.insert(reader.Text());
  } else if (frame.type == FrameType::kVerdict) {
    const auto rank = static_cast<int64_t>(reader.Number());
    const auto code = static_cast<ExitCode>(reader.Number());
    Decide({rank, code, reader.Text()});
  }
  changed_.notify_all();
}

void Client::Decide(const Verdict& verdict) {
  if (!verdict_.has_value()) verdict_ = verdict;
  changed_.notify_all();
}

absl::Status Client::Send(FrameType type, const std::string& payload) {
  if (payload.size() > kMaxPayload) {
    return absl::InvalidArgumentError(
        absl::StrCat("control plane: a message of ", payload.size(), " bytes, at most ", kMaxPayload));
  }
  {
    const std::lock_guard lock(mutex_);
    link_.Send(type, payload);
  }
  Wake();
  return absl::OkStatus();
}

absl::Status Client::Await(const std::string& what, Milliseconds limit, const std::function<bool()>& ready) {
  std::unique_lock lock(mutex_);
  const bool done = changed_.wait_for(lock, limit + kGrace, [&] { return ready() || verdict_.has_value() || lost_; });
  if (ready()) return absl::OkStatus();
  if (verdict_.has_value()) return StatusOf(*verdict_);
  const std::string why = done ? "the connection to rank 0 is gone" : "no answer from rank 0";
  return WithExitCode(absl::UnavailableError(absl::StrCat("at ", what, ": ", why)), ExitCode::kPeer);
}

absl::StatusOr<std::vector<std::string>> Client::Gather(const std::string& name, const std::string& blob,
                                                        Milliseconds limit) {
  INGOT_RETURN_IF_ERROR(Send(FrameType::kGather,
                             WireWriter().Text(name).Number(static_cast<uint64_t>(limit.count())).Text(blob).bytes()));
  INGOT_RETURN_IF_ERROR(Await(name, limit, [&] { return gathered_.count(name) > 0; }));
  const std::lock_guard lock(mutex_);
  std::vector<std::string> blobs = std::move(gathered_[name]);
  gathered_.erase(name);
  if (static_cast<int64_t>(blobs.size()) == options_.size) return blobs;
  return absl::InternalError(absl::StrCat("at ", name, ": ", blobs.size(), " answers of ", options_.size, " ranks"));
}

absl::Status Client::Compare(const std::vector<ComparedField>& fields) {
  WireWriter all;
  for (const ComparedField& field : fields) all.Text(field.name).Text(field.value);
  INGOT_RETURN_IF_ERROR(Send(FrameType::kCompare, all.bytes()));
  INGOT_RETURN_IF_ERROR(Await("the comparison of the ranks", options_.deadlines.gather, [&] { return agreed_; }));
  const std::lock_guard lock(mutex_);
  agreed_ = false;
  return absl::OkStatus();
}

absl::Status Client::Put(const std::string& key, const std::string& value) {
  return Send(FrameType::kPut, WireWriter().Text(key).Text(value).bytes());
}

absl::StatusOr<std::string> Client::Get(const std::string& key, Milliseconds limit) {
  INGOT_RETURN_IF_ERROR(Send(FrameType::kGet, WireWriter().Text(key).bytes()));
  INGOT_RETURN_IF_ERROR(Await(key, limit, [&] { return values_.count(key) > 0; }));
  const std::lock_guard lock(mutex_);
  return values_[key];
}

absl::StatusOr<std::optional<std::string>> Client::Claim(const std::string& key, Milliseconds limit) {
  INGOT_RETURN_IF_ERROR(Send(FrameType::kClaim, WireWriter().Text(key).bytes()));
  INGOT_RETURN_IF_ERROR(Await(key, limit, [&] { return values_.count(key) > 0 || claimed_.count(key) > 0; }));
  const std::lock_guard lock(mutex_);
  return claimed_.count(key) > 0 ? std::nullopt : std::optional(values_[key]);
}

void Client::Report(const RankProgress& progress) {
  const std::lock_guard lock(mutex_);
  progress_ = progress;
}

void Client::Fail(ExitCode code, const std::string& text) {
  Send(FrameType::kFail, WireWriter().Number(static_cast<uint64_t>(code)).Text(text.substr(0, 4096)).bytes())
      .IgnoreError();
  WaitForVerdict(kVerdictWait);
}

void Client::Stuck(const std::string& text) {
  Send(FrameType::kStuck, WireWriter().Text(text.substr(0, 4096)).bytes()).IgnoreError();
  WaitForVerdict(kVerdictWait);
}

void Client::TellEnded(int64_t rank, int64_t pid) {
  Send(FrameType::kEnded, WireWriter().Number(static_cast<uint64_t>(rank)).Number(static_cast<uint64_t>(pid)).bytes())
      .IgnoreError();
}

void Client::Leave() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(left_, true)) return;
    link_.Send(FrameType::kLeave, "");
  }
  Wake();
}

std::optional<Verdict> Client::WaitForVerdict(Milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return verdict_.has_value(); });
  return verdict_;
}

}  // namespace

absl::Status StatusOf(const Verdict& verdict) {
  return WithExitCode(absl::UnavailableError(verdict.text), verdict.code);
}

absl::StatusOr<std::unique_ptr<ControlClient>> ControlClient::Connect(ControlClientOptions options) {
  const Clock::time_point until = Clock::now() + options.deadlines.connect;
  absl::Status last;
  for (Milliseconds pause(50);; pause = std::min(2 * pause, Milliseconds(1000))) {
    const absl::StatusOr<Meeting> meeting = options.meeting();
    last = meeting.status();
    if (meeting.ok()) {
      const absl::StatusOr<int> socket = ConnectTo(*meeting, options.deadlines.handshake);
      last = socket.status();
      if (socket.ok()) {
        Link link(*socket, Link::Side::kClient);
        last = Greet(link, *meeting, options);
        if (last.ok()) return std::make_unique<Client>(std::move(options), std::move(link));
      }
    }
    if (Clock::now() + pause > until) break;
    std::this_thread::sleep_for(pause);
  }
  const int code = ExitCodeOf(last) == 1 ? static_cast<int>(ExitCode::kPeer) : ExitCodeOf(last);
  return WithExitCode(
      absl::Status(last.code(), absl::StrCat("rank ", options.rank, " does not reach rank 0 within ",
                                             options.deadlines.connect.count(), " ms: ", last.message())),
      static_cast<ExitCode>(code));
}

}  // namespace ingot
