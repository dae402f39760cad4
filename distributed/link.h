#pragma once
// Link: one non-blocking TCP connection of the control plane, as frames. Not thread-safe.
#include <cstdint>
#include <string>

#include "distributed/wire.h"

namespace ingot {

class Link {
 public:
  enum class Side { kServer, kClient };

  // Takes the socket over and sets it up: non-blocking, no delay, short time-outs for a network that is gone.
  Link(int socket, Side side);
  Link(Link&& other) noexcept;
  Link& operator=(Link&& other) noexcept;
  ~Link();

  int socket() const { return socket_; }
  bool wants_to_write() const { return !outgoing_.empty(); }
  bool authenticated() const { return !key_.empty(); }

  // Reads or writes what the socket takes now. False: the connection is over; why() says how.
  bool Fill();
  bool Flush();
  const std::string& why() const { return why_; }

  // A frame of the handshake, with the HMAC given.
  void SendPlain(FrameType type, absl::string_view payload, absl::string_view mac);
  // A frame under the connection's key.
  void Send(FrameType type, absl::string_view payload);
  // The next whole frame that has come. Once there is a key, one with another HMAC or out of turn is bad.
  FrameResult Take(Frame& frame);

  // From here on both directions are authenticated.
  void SetKey(std::string key) { key_ = std::move(key); }

 private:
  // Before the handshake is over a peer may send this much in all.
  static constexpr size_t kMaxStranger = 512;

  std::string MacOf(Side from, uint64_t counter, absl::string_view body) const;

  int socket_;
  Side side_;
  std::string incoming_, outgoing_, key_, why_;
  uint64_t sent_ = 0, received_ = 0;
};

}  // namespace ingot
