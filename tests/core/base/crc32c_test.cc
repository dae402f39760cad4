#include "core/base/crc32c.h"

#include <string>
#include <vector>

#include "core/base/philox.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

// RFC 3720 §B.4, and the check value of the CRC catalogues.
TEST(Crc32c, PublishedVectors) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF').data(), 32), 0x62A8AB43u);
  std::string up(32, '\0'), down(32, '\0');
  for (int i = 0; i < 32; ++i) up[i] = down[31 - i] = static_cast<char>(i);
  EXPECT_EQ(Crc32c(up.data(), 32), 0x46DD794Eu);
  EXPECT_EQ(Crc32c(down.data(), 32), 0x113FDB5Cu);
  EXPECT_EQ(Crc32c(nullptr, 0), 0u);
}

TEST(Crc32c, InstructionEqualsTable) {
  std::vector<uint8_t> bytes(3000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(Philox{1}.Word(0, i));
  for (size_t offset = 0; offset < 9; ++offset) {
    for (const size_t size : {0, 1, 7, 8, 9, 63, 64, 65, 2900}) {
      EXPECT_EQ(ExtendCrc32c(0x12345678u, bytes.data() + offset, size),
                ExtendCrc32cByTable(0x12345678u, bytes.data() + offset, size));
    }
  }
}

TEST(Crc32c, PartsGiveTheWhole) {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t head = Crc32c(text.data(), cut);
    EXPECT_EQ(ExtendCrc32c(head, text.data() + cut, text.size() - cut), Crc32c(text.data(), text.size()));
  }
}

}  // namespace
}  // namespace ingot
