#include "distributed/link.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "distributed/sha256.h"

namespace ingot {
namespace {

constexpr int kUserTimeoutMs = 10000;  // unacknowledged data older than this ends the connection

}  // namespace

Link::Link(int socket, Side side) : socket_(socket), side_(side) {
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
  fcntl(socket_, F_SETFD, FD_CLOEXEC);
  const int yes = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  setsockopt(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof(kUserTimeoutMs));
}

Link::Link(Link&& other) noexcept : socket_(-1), side_(other.side_) { *this = std::move(other); }

Link& Link::operator=(Link&& other) noexcept {
  std::swap(socket_, other.socket_);
  side_ = other.side_;
  incoming_ = std::move(other.incoming_);
  outgoing_ = std::move(other.outgoing_);
  key_ = std::move(other.key_);
  why_ = std::move(other.why_);
  sent_ = other.sent_;
  received_ = other.received_;
  return *this;
}

Link::~Link() {
  if (socket_ >= 0) close(socket_);
}

bool Link::Fill() {
  char buffer[16384];
  for (;;) {
    const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
    if (got > 0) {
      incoming_.append(buffer, static_cast<size_t>(got));
      if (!authenticated() && incoming_.size() > kMaxStranger) {
        why_ = "sent too much before it was authenticated";
        return false;
      }
      if (incoming_.size() > 4 * kMaxPayload) return true;  // enough for now
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    why_ = got == 0 ? "its connection closed" : std::string("its connection broke: ") + std::strerror(errno);
    return false;
  }
}

bool Link::Flush() {
  while (!outgoing_.empty()) {
    const ssize_t put = send(socket_, outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
    if (put > 0) {
      outgoing_.erase(0, static_cast<size_t>(put));
      continue;
    }
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    why_ = std::string("its connection broke: ") + std::strerror(errno);
    return false;
  }
  return true;
}

void Link::SendPlain(FrameType type, absl::string_view payload, absl::string_view mac) {
  outgoing_ += FrameBody(type, payload);
  outgoing_.append(mac.data(), mac.size());
}

void Link::Send(FrameType type, absl::string_view payload) {
  const std::string body = FrameBody(type, payload);
  outgoing_ += body;
  outgoing_ += MacOf(side_, sent_++, body);
}

FrameResult Link::Take(Frame& frame) {
  const FrameResult result = ParseFrame(incoming_, authenticated() ? kMaxPayload : kMaxStranger, frame);
  if (result != FrameResult::kWhole) return result;
  if (authenticated()) {
    const Side other = side_ == Side::kServer ? Side::kClient : Side::kServer;
    const absl::string_view body = absl::string_view(incoming_).substr(0, frame.bytes - kFrameMac);
    if (!EqualInConstantTime(MacOf(other, received_++, body), frame.mac)) return FrameResult::kBad;
  }
  incoming_.erase(0, frame.bytes);
  return result;
}

std::string Link::MacOf(Side from, uint64_t counter, absl::string_view body) const {
  WireWriter text;
  text.Number(from == Side::kServer ? 1 : 2).Number(counter).Text(body);
  return HmacSha256(key_, text.bytes());
}

}  // namespace ingot
