#include "core/training/tensorboard.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/append_whole.h"
#include "core/training/tensorboard.pb.h"

namespace ingot {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Record files mask their checksums: a checksum of bytes that hold checksums says little.
uint32_t MaskedCrc(const void* bytes, size_t size) {
  const uint32_t crc = Crc32c(bytes, size);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

template <typename Whole>
void AppendLittleEndian(std::string& bytes, Whole value) {
  for (size_t i = 0; i < sizeof(Whole); ++i) bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

}  // namespace

absl::StatusOr<EventWriter> EventWriter::Create(const std::string& directory, int64_t first_step) {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "host");
  const std::string path = JoinPath(
      directory, absl::StrCat("events.out.tfevents.", static_cast<int64_t>(Now()), ".", host.data(), ".", getpid()));
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot create"));
  EventWriter writer(file, path);
  tensorboard::Event version;
  version.set_wall_time(Now());
  version.set_file_version("brain.Event:2");
  INGOT_RETURN_IF_ERROR(writer.WriteRecord(version.SerializeAsString()));
  tensorboard::Event start;
  start.set_wall_time(Now());
  start.set_step(first_step);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  INGOT_RETURN_IF_ERROR(writer.WriteRecord(start.SerializeAsString()));
  return writer;
}

absl::Status EventWriter::Write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  tensorboard::Event event;
  event.set_wall_time(Now());
  event.set_step(step);
  for (const auto& [tag, number] : scalars) {
    auto* value = event.mutable_summary()->add_value();
    value->set_tag(tag);
    value->set_simple_value(static_cast<float>(number));
  }
  return WriteRecord(event.SerializeAsString());
}

// A record: length (u64), masked checksum of the length, bytes, masked checksum of the bytes; little-endian.
absl::Status EventWriter::WriteRecord(const std::string& record) {
  std::string framed;
  AppendLittleEndian(framed, uint64_t{record.size()});
  AppendLittleEndian(framed, MaskedCrc(framed.data(), sizeof(uint64_t)));
  framed += record;
  AppendLittleEndian(framed, MaskedCrc(record.data(), record.size()));
  return AppendWhole(file_.get(), framed, path_);
}

}  // namespace ingot
