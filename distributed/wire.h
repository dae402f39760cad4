#pragma once
// The frames of the control plane, as bytes. All integers little-endian:
//   u32 magic 'INGT' | u16 version | u16 type | u32 length | payload | 32 bytes HMAC-SHA-256
// Before the handshake is over the HMAC is that of the handshake message itself, later of (direction, counter, frame)
// under the key of the connection (docs/distributed.md).
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ingot {

enum class FrameType : uint16_t {
  kChallenge = 1,  // server: nonce, run id
  kHello,          // client: rank, size, source, host, pid, nonce
  kWelcome,        // server: proof that it knows the secret
  kRefused,        // server, before it closes: why
  kHeartbeat,      // both: step, phase, collectives entered
  kPut,            // client: key, value
  kGet,            // client: key
  kValue,          // server: key, value
  kGather,         // client: name, milliseconds to wait, blob
  kGathered,       // server: name, the blobs of all ranks
  kCompare,        // client: names and values
  kAgreed,         // server: all ranks said the same
  kFail,           // client: exit code, text: this rank ends the run
  kStuck,          // client: text: a deadline of this rank passed
  kVerdict,        // server: rank, exit code, text: why the run ends
  kLeave,          // client: done, the connection may close
  kClaim,          // client: key: its value, or the task to find it
  kYours,          // server: key: nobody has it or was given the task
  kEnded,          // client: rank, pid: of this machine, seen to end
};

inline constexpr uint16_t kWireVersion = 1;
inline constexpr size_t kFrameHead = 12, kFrameMac = 32, kMaxPayload = 64 * 1024;

struct Frame {
  FrameType type{};
  std::string payload;
  std::string mac;
  size_t bytes = 0;  // of the whole frame
};

enum class FrameResult { kWhole, kMore, kBad };

// The first frame of `bytes`, of which there may be more or less than one. A payload longer than `max_payload` is bad
// before a byte of it has come.
FrameResult ParseFrame(absl::string_view bytes, size_t max_payload, Frame& frame);

// Head and payload, without the HMAC.
std::string FrameBody(FrameType type, absl::string_view payload);

class WireWriter {
 public:
  WireWriter& Number(uint64_t value);
  WireWriter& Text(absl::string_view text);
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what WireWriter wrote. After anything that does not fit, ok() is false and values are 0 and empty.
class WireReader {
 public:
  explicit WireReader(absl::string_view bytes) : bytes_(bytes) {}
  uint64_t Number();
  std::string Text();
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  absl::string_view bytes_;
  bool ok_ = true;
};

}  // namespace ingot
