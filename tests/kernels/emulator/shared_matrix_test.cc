// Where the emulator finds the elements of operands in shared memory, against tables that come from another source than it
// does (see tests/golden/instruction_layouts/README.md).
#include "kernels/emulator/shared_matrix.h"

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/kernels/emulator/instruction_data_sm90.h"

namespace ingot {
namespace {

TEST(SharedMatrix, SwizzleEqualsTheTables) {
  const std::map<std::string, int> spans = {{"1_4_3", 32}, {"2_4_3", 64}, {"3_4_3", 128}};
  for (const CsvRow& row : ReadGolden("instruction_layouts/swizzle.csv")) {
    for (const uint32_t period : {0u, 4096u}) {
      const auto in = static_cast<uint32_t>(std::stoi(row[1])), out = static_cast<uint32_t>(std::stoi(row[2]));
      EXPECT_EQ(emulator::Swizzled(period + in, spans.at(row[0])), period + out) << row[0] << " " << in;
    }
  }
}

TEST(SharedMatrix, DescriptorsNameTheElementsOfTheTables) {
  int64_t checked = 0;
  for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_descriptors.csv")) {
    const Tile tile(row[0], row[1], row[2], std::stoi(row[3]), std::stoi(row[4]), row[5] == "MN_first");
    const int element = row[0] == "bf16" ? 2 : 1, depth = 32 / element, in_piece = 16 / element;
    const emulator::MatrixDescriptor matrix =
        emulator::DecodeDescriptor(std::stoull(row[10], nullptr, 16), emulator::Site::Current());
    const bool mn_major = row[1] == "MN";
    const int mn0 = std::stoi(row[8]) * 64, k0 = std::stoi(row[9]) * depth;
    for (int mn = 0; mn < std::stoi(row[7]); ++mn) {
      for (int k = 0; k < depth; ++k) {
        const int within = (mn_major ? mn : k) % in_piece;
        const int piece_mn = mn_major ? mn - within : mn, piece_k = mn_major ? k : k - within;
        const uint32_t address =
            emulator::PieceAddress(matrix, mn_major, piece_mn, piece_k, element) + element * within;
        ASSERT_EQ(address, 1024u + element * tile.Offset(mn0 + mn, k0 + k)) << row[10] << " " << mn << " " << k;
        ++checked;
      }
    }
  }
  EXPECT_EQ(checked, 1179648);
}

}  // namespace
}  // namespace ingot
