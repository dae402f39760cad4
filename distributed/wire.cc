#include "distributed/wire.h"

namespace ingot {
namespace {

constexpr uint32_t kMagic = 0x54474e49;  // "INGT"

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void Append(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
}

}  // namespace

FrameResult ParseFrame(absl::string_view bytes, size_t max_payload, Frame& frame) {
  // What has come of the magic must already be right: a stranger's first bytes are enough to end with it.
  for (size_t i = 0; i < bytes.size() && i < 4; ++i) {
    if (static_cast<unsigned char>(bytes[i]) != (kMagic >> (8 * i) & 0xff)) return FrameResult::kBad;
  }
  if (bytes.size() < kFrameHead) return FrameResult::kMore;
  const uint64_t version = LittleEndian(bytes.substr(4, 2)), type = LittleEndian(bytes.substr(6, 2));
  const uint64_t length = LittleEndian(bytes.substr(8, 4));
  if (version != kWireVersion || length > max_payload || type < static_cast<uint64_t>(FrameType::kChallenge) ||
      type > static_cast<uint64_t>(FrameType::kEnded)) {
    return FrameResult::kBad;
  }
  if (bytes.size() < kFrameHead + length + kFrameMac) return FrameResult::kMore;
  frame.type = static_cast<FrameType>(type);
  frame.payload = std::string(bytes.substr(kFrameHead, length));
  frame.mac = std::string(bytes.substr(kFrameHead + length, kFrameMac));
  frame.bytes = kFrameHead + length + kFrameMac;
  return FrameResult::kWhole;
}

std::string FrameBody(FrameType type, absl::string_view payload) {
  std::string body;
  Append(body, kMagic, 4);
  Append(body, kWireVersion, 2);
  Append(body, static_cast<uint64_t>(type), 2);
  Append(body, payload.size(), 4);
  body.append(payload.data(), payload.size());
  return body;
}

WireWriter& WireWriter::Number(uint64_t value) {
  Append(bytes_, value, 8);
  return *this;
}

WireWriter& WireWriter::Text(absl::string_view text) {
  Append(bytes_, text.size(), 4);
  bytes_.append(text.data(), text.size());
  return *this;
}

uint64_t WireReader::Number() {
  if (bytes_.size() < 8) ok_ = false;
  if (!ok_) return 0;
  const uint64_t value = LittleEndian(bytes_.substr(0, 8));
  bytes_.remove_prefix(8);
  return value;
}

std::string WireReader::Text() {
  if (bytes_.size() < 4) ok_ = false;
  if (!ok_) return "";
  const uint64_t size = LittleEndian(bytes_.substr(0, 4));
  if (size > bytes_.size() - 4) {
    ok_ = false;
    return "";
  }
  const std::string text(bytes_.substr(4, size));
  bytes_.remove_prefix(4 + size);
  return text;
}

}  // namespace ingot
