// The reference bodies of the instruction wrappers against tables that come from another source than they do (see
// tests/golden/instruction_layouts/README.md), and against what an H100 has recorded.
#include <cstring>
#include <filesystem>
#include <map>

#include "core/base/bf16.h"
#include "core/base/fp8.h"
#include "core/base/philox.h"
#include "gtest/gtest.h"
#include "tests/kernels/emulator/golden.h"
#include "tests/kernels/emulator/instruction_kernels.h"

namespace ingot {
namespace {

// A matrix of small whole numbers, whose sums are exact.
std::vector<float> WholeNumbers(int count, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values[i] = static_cast<float>(Philox{9}.Below(17, stream, i)) - 8;
  return values;
}

// thread -> cells of one operand.
std::map<int, std::vector<std::pair<int, int>>> Fragment(const std::string& instruction, const std::string& operand) {
  std::map<int, std::vector<std::pair<int, int>>> fragment;
  for (const CsvRow& row : ReadGolden("instruction_layouts/mma_sync.csv")) {
    if (row[0] == instruction && row[1] == operand) fragment[std::stoi(row[2])] = Cells(row[3]);
  }
  return fragment;
}

// The registers of all lanes, each with two bf16 of `matrix`, which has `columns` columns.
Registers PackedBf16(const std::string& operand, const std::vector<float>& matrix, int columns) {
  Registers registers;
  for (const auto& [thread, cells] : Fragment("m16n8k16_bf16", operand)) {
    for (size_t i = 0; i < cells.size(); i += 2) {
      const float low = matrix[cells[i].first * columns + cells[i].second];
      const float high = matrix[cells[i + 1].first * columns + cells[i + 1].second];
      registers.push_back(ToBf16(low).bits | uint32_t{ToBf16(high).bits} << 16);
    }
  }
  return registers;
}

TEST(Instructions, MmaHasTheLayoutOfTheTables) {
  for (uint64_t round = 0; round < 4; ++round) {
    const std::vector<float> a = WholeNumbers(16 * 16, 3 * round), b = WholeNumbers(16 * 8, 3 * round + 1);
    const std::vector<float> c = WholeNumbers(16 * 8, 3 * round + 2);
    const auto fragment = Fragment("m16n8k16_bf16", "C");
    ASSERT_EQ(fragment.size(), 32u);
    Registers d;
    for (const auto& [thread, cells] : fragment) {
      for (const auto& [m, n] : cells) d.push_back(std::bit_cast<uint32_t>(c[m * 8 + n]));
    }
    d = RunMma(PackedBf16("A", a, 16), PackedBf16("B", b, 8), d);
    size_t at = 0;
    for (const auto& [thread, cells] : fragment) {
      for (const auto& [m, n] : cells) {
        float sum = c[m * 8 + n];
        for (int k = 0; k < 16; ++k) sum += a[m * 16 + k] * b[k * 8 + n];
        EXPECT_EQ(std::bit_cast<float>(d[at++]), sum) << "thread " << thread << ", row " << m << ", column " << n;
      }
    }
  }
}

TEST(Instructions, LoadMatrixHasTheLayoutOfTheTables) {
  std::map<std::pair<std::string, std::string>, std::map<int, std::vector<std::pair<int, int>>>> tables;
  for (const CsvRow& row : ReadGolden("instruction_layouts/ldmatrix.csv")) {
    tables[{row[0], row[1]}][std::stoi(row[2])] = Cells(row[3]);
  }
  std::vector<uint16_t> memory(32 * 8);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<uint16_t>(i * 7 + 1);
  int checked = 0;
  for (const int matrices : {1, 2, 4}) {
    for (const bool transposed : {false, true}) {
      const std::string name = "ldmatrix_x" + std::to_string(matrices) + (transposed ? "_trans" : "");
      // A slot of the table is a row of memory here, permuted so that a lane that gives the wrong row shows.
      std::vector<int> row_of_lane(32);
      for (int lane = 0; lane < 32; ++lane) row_of_lane[lane] = (lane * 5 + 3) % 32;
      const Registers found = RunLoadMatrix(memory, row_of_lane, matrices, transposed);
      for (const auto& [thread, cells] : tables.at({name, "dst"})) {
        for (size_t v = 0; v < cells.size(); ++v) {
          // The slot is the lane that gives the row.
          const int row = row_of_lane[cells[v].first];
          const uint32_t pair = found[static_cast<size_t>(thread * matrices) + v / 2];
          EXPECT_EQ(static_cast<uint16_t>(pair >> (16 * (v % 2))), memory[row * 8 + cells[v].second]) << name << thread;
          ++checked;
        }
      }
    }
  }
  EXPECT_EQ(checked, 2 * 32 * (2 + 4 + 8));
}

TEST(Instructions, RoundingToBf16EqualsTheTables) {
  for (const CsvRow& row : ReadGolden("instruction_layouts/f32_to_bf16.csv")) {
    EXPECT_EQ(ToBf16(std::bit_cast<float>(Hex(row[0]))).bits, Hex(row[1])) << row[0];
  }
  for (const CsvRow& row : ReadGolden("instruction_layouts/bf16_to_f32.csv")) {
    EXPECT_EQ(std::bit_cast<uint32_t>(ToFloat(Bf16{static_cast<uint16_t>(Hex(row[0]))})), Hex(row[1])) << row[0];
  }
}

TEST(Instructions, RoundingToFp8EqualsTheTables) {
  for (const CsvRow& row : ReadGolden("instruction_layouts/f32_to_fp8.csv")) {
    const auto value = std::bit_cast<float>(Hex(row[0]));
    EXPECT_EQ(ToFp8<E4m3>(value).bits, Hex(row[1])) << row[0];
    EXPECT_EQ(ToFp8<E5m2>(value).bits, Hex(row[2])) << row[0];
  }
  for (const CsvRow& row : ReadGolden("instruction_layouts/fp8_to_f32.csv")) {
    const auto code = static_cast<uint8_t>(Hex(row[0]));
    EXPECT_EQ(std::bit_cast<uint32_t>(ToFloat(E4m3{code})), Hex(row[1])) << row[0];
    EXPECT_EQ(std::bit_cast<uint32_t>(ToFloat(E5m2{code})), Hex(row[2])) << row[0];
  }
}

// The floats of the table as a device rounds them; rows `f32,e4m3,e5m2`.
void ExpectPackedFp8(const std::string& table) {
  std::vector<float> values;
  std::vector<uint16_t> expected;
  for (const CsvRow& row : ReadGolden(table)) {
    values.push_back(std::bit_cast<float>(Hex(row[0])));
    expected.push_back(static_cast<uint16_t>(Hex(row[1]) | Hex(row[2]) << 8));
  }
  EXPECT_EQ(RunPackFp8(values), expected) << table;
}

TEST(Instructions, PackFp8EqualsTheTables) { ExpectPackedFp8("instruction_layouts/f32_to_fp8.csv"); }

TEST(Conformance, PackFp8EqualsAnH100) {
  const std::string path = std::string(INGOT_SOURCE_DIR) + "/tests/golden/h100/pack_fp8.csv";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  ExpectPackedFp8("h100/pack_fp8.csv");
}

// What the same kernel gave on a GPU: rows `case,registers in,registers out`.
TEST(Conformance, MmaEqualsAnH100) {
  const std::string path = std::string(INGOT_SOURCE_DIR) + "/tests/golden/h100/mma_m16n8k16.csv";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  for (const CsvRow& row : ReadGolden("h100/mma_m16n8k16.csv")) {
    const auto registers = [&](int column) {
      Registers values;
      std::istringstream words(row[column]);
      for (std::string word; words >> word;) values.push_back(Hex(word));
      return values;
    };
    EXPECT_EQ(RunMma(registers(1), registers(2), registers(3)), registers(4)) << row[0];
  }
}

TEST(Conformance, LoadMatrixEqualsAnH100) {
  const std::string path = std::string(INGOT_SOURCE_DIR) + "/tests/golden/h100/ldmatrix.csv";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  std::vector<uint16_t> memory(32 * 8);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<uint16_t>(i);
  std::vector<int> rows(32);
  for (int lane = 0; lane < 32; ++lane) rows[lane] = lane;
  for (const CsvRow& row : ReadGolden("h100/ldmatrix.csv")) {  // matrices, transposed, registers
    Registers expected;
    std::istringstream words(row[2]);
    for (std::string word; words >> word;) expected.push_back(Hex(word));
    EXPECT_EQ(RunLoadMatrix(memory, rows, std::stoi(row[0]), row[1] == "1"), expected);
  }
}

}  // namespace
}  // namespace ingot
