// Any bytes as a shard: parsed, and where header and trailer hold, read and verified to the last id. Checksums would
// keep a fuzzer out, so the bytes are tried as they are and with both checksums put right.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/crc32c.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/inspect.h"
#include "data_pipeline/shard.h"

namespace ingot {
namespace {

void OpenAndRead(const std::vector<uint8_t>& bytes) {
  const int file = memfd_create("shard", 0);
  if (write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())) {
    absl::StatusOr<Shard> shard = Shard::Open("/proc/self/fd/" + std::to_string(file));
    if (shard.ok()) {
      shard->Verify().IgnoreError();
      TokenStream stream;
      stream.Add(*std::move(shard));
      InspectStream(stream, 3, 8);
    }
  }
  close(file);
}

void PutChecksumsRight(std::vector<uint8_t>& bytes) {
  constexpr size_t kHeaderCrc = 28, kTrailerCrc = 24;
  uint8_t* const trailer = bytes.data() + bytes.size() - kShardTrailerBytes;
  const uint32_t header_crc = Crc32c(bytes.data(), kHeaderCrc);
  const uint32_t trailer_crc = Crc32c(trailer, kTrailerCrc);
  std::memcpy(bytes.data() + kHeaderCrc, &header_crc, sizeof header_crc);
  std::memcpy(trailer + kTrailerCrc, &trailer_crc, sizeof trailer_crc);
}

}  // namespace
}  // namespace ingot

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  ingot::OpenAndRead(bytes);
  if (size < ingot::kShardHeaderBytes + ingot::kShardTrailerBytes) return 0;
  ingot::PutChecksumsRight(bytes);
  ingot::OpenAndRead(bytes);
  return 0;
}
