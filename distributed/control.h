#pragma once
// What the two ends of the control plane share: verdicts, progress, deadlines, and the proofs of the handshake.
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "distributed/exit_codes.h"

namespace ingot {

// Why a run ends, and on whose account. The control plane names one rank; what the data plane says about a port is
// only a symptom.
struct Verdict {
  int64_t rank = -1;  // -1: nobody alone
  ExitCode code = ExitCode::kPeer;
  std::string text;  // "rank 2 (host a, pid 12): its connection closed, in step 7, reduce"
};

// What a rank was doing, told with each heartbeat.
enum class Phase : uint8_t { kStart, kData, kCompute, kReduce, kOptimizer, kValidate, kSave, kEnd };
const char* Name(Phase phase);

struct RankProgress {
  uint64_t step = 0;
  Phase phase = Phase::kStart;
  uint64_t collectives = 0;  // entered so far
};

// One thing that all ranks must agree on before they exchange anything.
struct ComparedField {
  std::string name;   // "model.layers", "dataset"
  std::string value;  // for people; compared as it is, so a digest where it is long
};

struct ControlDeadlines {
  std::chrono::milliseconds connect{60000};       // until rank 0 answers
  std::chrono::milliseconds present{600000};      // until all ranks have come
  std::chrono::milliseconds handshake{5000};      // of one connection
  std::chrono::milliseconds heartbeat{500};       // between two
  std::chrono::milliseconds silence{20000};       // without one: the rank counts as gone
  std::chrono::milliseconds gather{60000};        // from the first rank that arrives to the last
  std::chrono::milliseconds missing_line{10000};  // between two lines that say who is missing
};

// HMACs of the handshake, see docs/distributed.md.
std::string ClientProof(const std::string& secret, const std::string& server_nonce, const std::string& payload);
std::string ServerProof(const std::string& secret, const std::string& server_nonce, const std::string& client_nonce);
std::string ConnectionKey(const std::string& secret, const std::string& server_nonce, const std::string& client_nonce);

// `size` bytes from the system's random source.
std::string RandomBytes(size_t size);

// "1, 3 and 7 more".
std::string RankList(const std::vector<int64_t>& ranks);

}  // namespace ingot
