#include "distributed/control_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "distributed/link.h"
#include "distributed/sha256.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr size_t kMaxStored = size_t{64} << 20;  // bytes of all keys and values
constexpr int kBacklog = 1024;                   // connections that wait to be accepted
constexpr Milliseconds kTick{50};                // longest wait of the loop
constexpr Milliseconds kFloodPause{2};           // between two strangers: 64 of them then have 128 ms each
constexpr Milliseconds kLinger{2000};            // for the ranks to leave
constexpr std::chrono::seconds kSelfStopped{2};  // a loop that slept this long was stopped itself

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string VerdictBytes(const Verdict& verdict) {
  WireWriter bytes;
  bytes.Number(static_cast<uint64_t>(verdict.rank)).Number(static_cast<uint64_t>(verdict.code)).Text(verdict.text);
  return bytes.bytes();
}

struct Peer {
  explicit Peer(int socket) : link(socket, Link::Side::kServer) {}
  Link link;
  std::string nonce;
  Clock::time_point opened = Clock::now(), heard = opened, greeted = opened;
  int64_t rank = -1;  // -1: a stranger
  std::string host, source;
  uint64_t pid = 0;
  RankProgress progress;
  bool left = false, closing = false;
};

// A gather or comparison under way.
struct Round {
  std::map<int64_t, std::string> blobs;  // by rank
  Clock::time_point begun = Clock::now(), told = begun;
  Milliseconds limit{};
};

class Server : public ControlServer {
 public:
  Server(const ControlServerOptions& options, int listener, int port)
      : options_(options), listener_(listener), port_(port), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { Loop(); });
  }
  ~Server() override {
    stop_ = true;
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof(one));
    thread_.join();
    close(listener_);
    close(wake_);
  }
  int port() const override { return port_; }

 private:
  void Loop();
  void Poll();
  void Accept();
  void DropOldestStranger();
  void NoteFailure();
  bool Flooded();
  void Serve(Peer& peer);
  void Handle(Peer& peer, const Frame& frame);
  void Admit(Peer& peer, const Frame& frame);
  void Refuse(Peer& peer, const std::string& why);
  void OnGather(Peer& peer, WireReader& reader);
  void OnCompare(Peer& peer, const std::string& payload);
  void OnStuck(Peer& peer, const std::string& text);
  void OnEnded(Peer& peer, WireReader& reader);
  void Store(const std::string& key, std::string value);
  void Get(Peer& peer, const std::string& key);
  void Claim(Peer& peer, const std::string& key);
  void Timers();
  void RoundTimers(const std::string& name, Round& round);
  void Closed(Peer& peer);
  void Decide(int64_t rank, ExitCode code, std::string text);
  void SendToAll(FrameType type, const std::string& payload);

  std::string Describe(const Peer& peer) const {
    return absl::StrCat("rank ", peer.rank, " (host ", peer.host, ", pid ", peer.pid, ")");
  }
  std::string Doing(const Peer& peer) const {
    return absl::StrCat("step ", peer.progress.step, ", ", Name(peer.progress.phase));
  }
  Peer* Find(int64_t rank) {
    for (Peer& peer : peers_) {
      if (peer.rank == rank) return &peer;
    }
    return nullptr;
  }

  const ControlServerOptions options_;
  const int listener_, port_, wake_;
  std::atomic<bool> stop_{false};
  std::list<Peer> peers_;
  std::map<std::string, Round> rounds_;  // by name; the comparison has the name ""
  std::map<std::string, std::string> store_;
  size_t stored_ = 0;
  std::set<std::string> claimed_;                // keys that a rank was told to find
  std::multimap<std::string, int64_t> waiting_;  // key → rank
  std::deque<Clock::time_point> failures_;       // of strangers, the newest ControlServer::kMaxFailuresPerSecond
  Clock::time_point accepted_{};
  std::optional<Verdict> verdict_;
  std::thread thread_;
};

void Server::Loop() {
  Clock::time_point before = Clock::now();
  std::optional<Clock::time_point> stopping;
  for (;;) {
    Poll();
    const Clock::time_point now = Clock::now();
    if (now - before > kSelfStopped) {
      for (Peer& peer : peers_) peer.heard = now;  // it was this process that stood still
    }
    before = now;
    Timers();
    for (auto peer = peers_.begin(); peer != peers_.end();) {
      if (!peer->link.Flush() && peer->closing) peer->link = Link(-1, Link::Side::kServer);
      peer = peer->closing && !peer->link.wants_to_write() ? peers_.erase(peer) : std::next(peer);
    }
    if (!stop_) continue;
    if (!stopping.has_value()) stopping = now;
    const bool all_gone = std::all_of(peers_.begin(), peers_.end(), [](const Peer& p) { return p.left || p.rank < 0; });
    if (all_gone || now - *stopping > kLinger) return;
  }
}

void Server::Poll() {
  const bool pauses = Flooded() && Clock::now() - accepted_ < kFloodPause;
  std::vector<pollfd> polled = {{pauses ? -1 : listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
  std::vector<Peer*> peers;
  for (Peer& peer : peers_) {
    polled.push_back(
        {peer.link.socket(), static_cast<int16_t>(peer.link.wants_to_write() ? POLLIN | POLLOUT : POLLIN), 0});
    peers.push_back(&peer);
  }
  if (poll(polled.data(), polled.size(), static_cast<int>((pauses ? kFloodPause : kTick).count())) <= 0) return;
  if (polled[1].revents != 0) {
    uint64_t count;
    (void)!read(wake_, &count, sizeof(count));
  }
  for (size_t i = 0; i < peers.size(); ++i) {
    if (polled[i + 2].revents != 0 && !peers[i]->closing) Serve(*peers[i]);
  }
  if (polled[0].revents != 0) Accept();
}

void Server::Accept() {
  const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0) return;
  accepted_ = Clock::now();
  if (std::count_if(peers_.begin(), peers_.end(), [](const Peer& p) { return p.rank < 0; }) >= kMaxStrangers) {
    DropOldestStranger();
  }
  Peer& peer = peers_.emplace_back(socket);
  peer.nonce = RandomBytes(32);
  WireWriter challenge;
  challenge.Text(peer.nonce).Text(options_.run_id);
  peer.link.SendPlain(FrameType::kChallenge, challenge.bytes(), std::string(kFrameMac, '\0'));
}

void Server::DropOldestStranger() {
  const auto oldest = std::find_if(peers_.begin(), peers_.end(), [](const Peer& p) { return p.rank < 0; });
  if (oldest == peers_.end()) return;
  NoteFailure();
  peers_.erase(oldest);  // the list is in the order they came
}

void Server::NoteFailure() {
  failures_.push_back(Clock::now());
  if (failures_.size() > static_cast<size_t>(kMaxFailuresPerSecond)) failures_.pop_front();
}

// Then strangers are let in one by one, with pauses: whoever knows the secret has time to say so before the strangers
// behind it take its place, also where it comes from the same address as they.
bool Server::Flooded() {
  return failures_.size() == static_cast<size_t>(kMaxFailuresPerSecond) &&
         Clock::now() - failures_.front() < std::chrono::seconds(1);
}

void Server::Serve(Peer& peer) {
  const bool open = peer.link.Fill();
  Frame frame;
  FrameResult result;
  while (!peer.closing && (result = peer.link.Take(frame)) != FrameResult::kMore) {
    if (result == FrameResult::kBad) {
      if (peer.rank >= 0)
        Decide(peer.rank, ExitCode::kSecret, absl::StrCat(Describe(peer), " sent a frame that is not authentic"));
      return Refuse(peer, "not a frame of this protocol");
    }
    Handle(peer, frame);
  }
  if (!open) Closed(peer);
}

void Server::Handle(Peer& peer, const Frame& frame) {
  peer.heard = Clock::now();
  if (peer.rank < 0) {
    if (frame.type != FrameType::kHello) return Refuse(peer, "expected a hello");
    return Admit(peer, frame);
  }
  WireReader reader(frame.payload);
  if (frame.type == FrameType::kHeartbeat) {
    peer.progress.step = reader.Number();
    peer.progress.phase = static_cast<Phase>(reader.Number());
    peer.progress.collectives = reader.Number();
  } else if (frame.type == FrameType::kGather) {
    OnGather(peer, reader);
  } else if (frame.type == FrameType::kCompare) {
    OnCompare(peer, frame.payload);
  } else if (frame.type == FrameType::kPut) {
    const std::string key = reader.Text();
    Store(key, reader.Text());
  } else if (frame.type == FrameType::kGet) {
    Get(peer, reader.Text());
  } else if (frame.type == FrameType::kClaim) {
    Claim(peer, reader.Text());
  } else if (frame.type == FrameType::kFail) {
    const auto code = static_cast<ExitCode>(reader.Number());
    Decide(peer.rank, code, absl::StrCat(Describe(peer), ": ", reader.Text()));
  } else if (frame.type == FrameType::kStuck) {
    OnStuck(peer, reader.Text());
  } else if (frame.type == FrameType::kEnded) {
    OnEnded(peer, reader);
  } else if (frame.type == FrameType::kLeave) {
    peer.left = true;
  }
}

void Server::Admit(Peer& peer, const Frame& frame) {
  WireReader reader(frame.payload);
  const auto rank = static_cast<int64_t>(reader.Number()), size = static_cast<int64_t>(reader.Number());
  const std::string source = reader.Text(), host = reader.Text();
  const uint64_t pid = reader.Number();
  const std::string nonce = reader.Text();
  if (!reader.done() || nonce.size() != 32) return Refuse(peer, "a hello that does not parse");
  if (!EqualInConstantTime(ClientProof(options_.secret, peer.nonce, frame.payload), frame.mac)) {
    return Refuse(peer, "another secret");
  }
  const std::string who = absl::StrCat("host ", host, ", pid ", pid);
  std::string problem;
  if (size != options_.size) {
    problem = absl::StrCat("rank ", rank, " (", who, ") was started as one of ", size, " ranks, rank 0 as one of ",
                           options_.size);
  } else if (rank < 0 || rank >= size) {
    problem = absl::StrCat("a rank ", rank, " of ", size, " (", who, ")");
  } else if (const Peer* other = Find(rank); other != nullptr) {
    problem = absl::StrCat("two processes are rank ", rank, ": host ", other->host, ", pid ", other->pid, " and ", who);
  } else if (const Peer* first = Find(0); first != nullptr && first->source != source) {
    problem = absl::StrCat("rank ", rank, " (", who, ") was started by ", source, ", rank 0 by ", first->source);
  }
  peer.link.SendPlain(FrameType::kWelcome, "", ServerProof(options_.secret, peer.nonce, nonce));
  peer.link.SetKey(ConnectionKey(options_.secret, peer.nonce, nonce));
  if (!problem.empty()) {
    Decide(rank, ExitCode::kConfiguration, problem);
    peer.link.Send(FrameType::kVerdict, VerdictBytes(*verdict_));
    peer.closing = true;
    return;
  }
  peer.rank = rank;
  peer.host = host;
  peer.pid = pid;
  peer.source = source;
  if (verdict_.has_value()) peer.link.Send(FrameType::kVerdict, VerdictBytes(*verdict_));
}

void Server::Refuse(Peer& peer, const std::string& why) {
  NoteFailure();
  if (!peer.link.authenticated()) peer.link.SendPlain(FrameType::kRefused, why, std::string(kFrameMac, '\0'));
  peer.closing = true;
}

void Server::OnGather(Peer& peer, WireReader& reader) {
  const std::string name = reader.Text();
  const Milliseconds limit(static_cast<int64_t>(reader.Number()));
  const std::string blob = reader.Text();
  Round& round = rounds_["g" + name];
  round.limit = limit;
  round.blobs[peer.rank] = blob;
  if (static_cast<int64_t>(round.blobs.size()) < options_.size) return;
  WireWriter all;
  all.Text(name);
  for (const auto& [rank, text] : round.blobs) all.Text(text);
  rounds_.erase("g" + name);
  SendToAll(FrameType::kGathered, all.bytes());
}

// Values are compared with those of the lowest rank that has another.
void Server::OnCompare(Peer& peer, const std::string& payload) {
  Round& round = rounds_["c"];
  round.limit = options_.deadlines.gather;
  round.blobs[peer.rank] = payload;
  if (static_cast<int64_t>(round.blobs.size()) < options_.size) return;
  const std::map<int64_t, std::string> blobs = std::move(round.blobs);
  rounds_.erase("c");
  for (const auto& [rank, blob] : blobs) {
    if (blob == blobs.at(0)) continue;
    WireReader a(blobs.at(0)), b(blob);
    while (a.ok() && b.ok() && !a.done() && !b.done()) {
      const std::string name = a.Text(), other_name = b.Text(), value = a.Text(), other = b.Text();
      if (name == other_name && value == other) continue;
      const std::string text = name != other_name
                                   ? absl::StrCat("they compare other things: ", name, " and ", other_name)
                                   : absl::StrCat(name, ": rank 0 has ", value, ", rank ", rank, " has ", other);
      return Decide(rank, ExitCode::kConfiguration, absl::StrCat("the ranks were not started alike: ", text));
    }
    return Decide(rank, ExitCode::kConfiguration,
                  absl::StrCat("rank ", rank, " compares another number of things than rank 0"));
  }
  SendToAll(FrameType::kAgreed, "");
}

// A rank waited too long. The one to blame is not the one that complains but the one that is furthest behind.
void Server::OnStuck(Peer& complaining, const std::string& text) {
  const Peer *behind = nullptr, *ahead = nullptr;
  for (const Peer& peer : peers_) {
    if (peer.rank < 0 || peer.left) continue;
    if (behind == nullptr || peer.progress.collectives < behind->progress.collectives) behind = &peer;
    if (ahead == nullptr || peer.progress.collectives > ahead->progress.collectives) ahead = &peer;
  }
  if (behind != nullptr && behind->progress.collectives < ahead->progress.collectives) {
    return Decide(behind->rank, ExitCode::kPeer,
                  absl::StrCat(Describe(*behind), " hangs in ", Doing(*behind), ": ", text, " (told by rank ",
                               complaining.rank, ")"));
  }
  Decide(complaining.rank, ExitCode::kPeer,
         absl::StrCat(Describe(complaining), " hangs in ", Doing(complaining), ": ", text));
}

// Of a rank that has come its own connection tells.
void Server::OnEnded(Peer& peer, WireReader& reader) {
  const auto rank = static_cast<int64_t>(reader.Number());
  const uint64_t pid = reader.Number();
  if (!reader.done() || rank < 0 || rank >= options_.size || Find(rank) != nullptr) return;
  Decide(rank, ExitCode::kPeer,
         absl::StrCat("rank ", rank, " (host ", peer.host, ", pid ", pid, ") died before it met rank 0"));
}

void Server::Store(const std::string& key, std::string value) {
  stored_ += key.size() + value.size();
  if (stored_ > kMaxStored) return Decide(-1, ExitCode::kPeer, "the ranks store more than 64 MiB in the control plane");
  store_[key] = std::move(value);
  const auto [begin, end] = waiting_.equal_range(key);
  std::vector<int64_t> ranks;
  for (auto it = begin; it != end; ++it) ranks.push_back(it->second);
  waiting_.erase(key);
  for (const int64_t rank : ranks) {
    if (Peer* peer = Find(rank); peer != nullptr) Get(*peer, key);
  }
}

void Server::Get(Peer& peer, const std::string& key) {
  const auto found = store_.find(key);
  if (found == store_.end()) {
    waiting_.emplace(key, peer.rank);
    return;
  }
  WireWriter value;
  value.Text(key).Text(found->second);
  peer.link.Send(FrameType::kValue, value.bytes());
}

void Server::Claim(Peer& peer, const std::string& key) {
  if (store_.count(key) > 0 || !claimed_.insert(key).second) return Get(peer, key);
  peer.link.Send(FrameType::kYours, WireWriter().Text(key).bytes());
}

void Server::Timers() {
  const Clock::time_point now = Clock::now();
  for (Peer& peer : peers_) {
    if (peer.rank < 0) {
      if (!peer.closing && now - peer.opened > options_.deadlines.handshake) Refuse(peer, "too slow");
      // A stranger that does not read its refusal is not waited for.
      if (peer.closing && now - peer.opened > 2 * options_.deadlines.handshake)
        peer.link = Link(-1, Link::Side::kServer);
      continue;
    }
    if (peer.left) continue;
    if (now - peer.greeted > options_.deadlines.heartbeat) {
      peer.greeted = now;
      peer.link.Send(FrameType::kHeartbeat, WireWriter().Number(0).Number(0).Number(0).bytes());
    }
    if (now - peer.heard > options_.deadlines.silence) {
      Decide(peer.rank, ExitCode::kPeer,
             absl::StrFormat("%s is silent for %.1f s, last heard of in %s: it is stopped or its machine is gone",
                             Describe(peer), Seconds(now - peer.heard), Doing(peer)));
    }
  }
  for (auto& [name, round] : rounds_) RoundTimers(name, round);
}

void Server::RoundTimers(const std::string& name, Round& round) {
  const Clock::time_point now = Clock::now();
  // What may take hours is no news after seconds.
  const Milliseconds line = std::max(options_.deadlines.missing_line, round.limit / 60);
  const bool late = now - round.begun > round.limit, tells = now - round.told > line;
  if (verdict_.has_value() || (!late && !tells)) return;
  std::vector<int64_t> absent, behind;
  for (int64_t rank = 0; rank < options_.size; ++rank) {
    if (round.blobs.count(rank) == 0) (Find(rank) == nullptr ? absent : behind).push_back(rank);
  }
  const double waited = Seconds(now - round.begun);
  std::string who = absent.empty() ? "" : absl::StrCat("never came: ranks ", RankList(absent), ". ");
  if (!behind.empty()) absl::StrAppend(&who, "not there yet: ranks ", RankList(behind), ". ");
  if (late) {
    const int64_t rank = absent.empty() ? behind.front() : absent.front();
    return Decide(
        rank, ExitCode::kPeer,
        absl::StrFormat("after %.0f s at %s: %s", waited, name == "c" ? "the comparison" : name.substr(1), who));
  }
  round.told = now;
  std::fprintf(stderr, "ingot: waiting for %.0f s: %s\n", waited, who.c_str());
}

void Server::Closed(Peer& peer) {
  if (peer.rank < 0) {
    NoteFailure();
  } else if (!peer.left) {
    Decide(peer.rank, ExitCode::kPeer, absl::StrCat(Describe(peer), " died: ", peer.link.why(), " in ", Doing(peer)));
  }
  peer.left = true;
  peer.closing = true;
  peer.link = Link(-1, Link::Side::kServer);
}

void Server::Decide(int64_t rank, ExitCode code, std::string text) {
  if (verdict_.has_value()) return;  // what follows from the first cause is no news
  verdict_ = Verdict{rank, code, std::move(text)};
  SendToAll(FrameType::kVerdict, VerdictBytes(*verdict_));
}

void Server::SendToAll(FrameType type, const std::string& payload) {
  for (Peer& peer : peers_) {
    if (peer.rank >= 0 && !peer.left && !peer.closing) peer.link.Send(type, payload);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(const ControlServerOptions& options) {
  const std::string where = absl::StrCat(options.address, ":", options.port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options.port));
  if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("control plane: expected an IPv4 address, found ", options.address));
  }
  socklen_t size = sizeof(address);
  int listener = options.listener;
  bool listens =
      listener >= 0 && fcntl(listener, F_SETFL, O_NONBLOCK) == 0 && fcntl(listener, F_SETFD, FD_CLOEXEC) == 0;
  if (listener < 0) {
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    listens = bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener, kBacklog) == 0;
  }
  if (listens && getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    return std::make_unique<Server>(options, listener, ntohs(address.sin_port));
  }
  const absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat("control plane: cannot listen on ", where));
  close(listener);
  return status;
}

}  // namespace ingot
