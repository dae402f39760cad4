// The reference bodies of wgmma, TMA and mbarrier against tables that come from another source than they do (see
// tests/golden/instruction_layouts/README.md), and against what an H100 has recorded.
#include <bit>
#include <filesystem>
#include <map>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/kernels/device_sm90.h"
#include "tests/kernels/emulator/device_array.h"
#include "tests/kernels/emulator/golden.h"
#include "tests/kernels/emulator/instruction_data_sm90.h"
#include "tests/kernels/schedules.h"

namespace ingot {
namespace {

#define INGOT_NEEDS_SM90() \
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator"

// The fields that the wrapper makes, and the steps along k and m, for the tiles of one load a box.
TEST(HopperInstructions, MadeDescriptorsEqualTheTables) {
  INGOT_NEEDS_SM90();
  const std::map<std::string, Swizzle> swizzles = {
      {"INTER", Swizzle::kNone}, {"SW32", Swizzle::k32}, {"SW64", Swizzle::k64}, {"SW128", Swizzle::k128}};
  std::map<std::string, CsvRow> advances;
  const auto key = [](const CsvRow& row) {
    std::string text;
    for (int i = 0; i < 8; ++i) text += row[i] + ",";
    return text;
  };
  for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_advance.csv")) advances[key(row)] = row;
  int checked = 0;
  for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_descriptors.csv")) {
    const CsvRow& advance = advances.at(key(row));
    const int bytes = Numbers(advance[8])[std::stoi(row[9])] + Numbers(advance[9])[std::stoi(row[8])];
    const int leading = std::stoi(row[12]) * 16, stride = std::stoi(row[13]) * 16;
    const uint64_t made = RunMatrixDescriptor(0, leading, stride, swizzles.at(row[2]), bytes);
    ASSERT_EQ(made, std::stoull(row[10], nullptr, 16)) << checked;
    ++checked;
  }
  EXPECT_EQ(checked, 736);
}

// The product as the table of fragments lays it out: exact sums of whole numbers.
template <typename Data>
void ExpectProduct(const Data& data, const std::vector<float>& d) {
  size_t checked = 0;
  for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_fragments.csv")) {
    if (row[0] != "m64n" + std::to_string(data.N())) continue;
    const auto cells = Cells(row[3]);
    for (size_t i = 0; i < cells.size(); ++i) {
      float sum = 0;
      for (int k = 0; k < data.K(); ++k) sum += data.A(cells[i].first, k) * data.B(cells[i].second, k);
      ASSERT_EQ(d[static_cast<size_t>(std::stoi(row[2])) * cells.size() + i], sum) << row[2] << " " << i;
      ++checked;
    }
  }
  EXPECT_EQ(checked, d.size());
}

class WgmmaLayouts : public testing::TestWithParam<std::tuple<int, const char*, const char*, const char*>> {};

TEST_P(WgmmaLayouts, EqualTheTables) {
  INGOT_NEEDS_SM90();
  const auto [N, a_major, b_major, swizzle] = GetParam();
  const WgmmaData data({N, a_major, b_major, swizzle});
  ASSERT_EQ(data.run.a.size(), 4u);
  ASSERT_EQ(data.run.b.size(), 4u);
  ForEachSchedule([&] { ExpectProduct(data, RunWgmma(data.run)); });
}

INSTANTIATE_TEST_SUITE_P(All, WgmmaLayouts,
                         testing::Combine(testing::Values(64, 128, 256), testing::Values("K", "MN"),
                                          testing::Values("K", "MN"),
                                          testing::Values("INTER", "SW32", "SW64", "SW128")),
                         [](const auto& row) {
                           return "N" + std::to_string(std::get<0>(row.param)) + std::get<1>(row.param) +
                                  std::get<2>(row.param) + std::get<3>(row.param);
                         });

TEST(HopperInstructions, WgmmaTakesTheFirstOperandFromRegisters) {
  INGOT_NEEDS_SM90();
  for (const int N : {64, 128}) {
    for (const char* const major : {"K", "MN"}) {
      WgmmaData data({N, "K", major, "SW128"});
      data.run.a.clear();
      for (int step = 0; step < 4; ++step) {
        for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_fragments.csv")) {
          if (row[0] != "m64k16_bf16") continue;
          const auto cells = Cells(row[3]);
          for (size_t i = 0; i < cells.size(); i += 2) {
            const float low = data.A(cells[i].first, 16 * step + cells[i].second);
            const float high = data.A(cells[i + 1].first, 16 * step + cells[i + 1].second);
            data.run.a_registers.push_back(ToBf16(low).bits | uint32_t{ToBf16(high).bits} << 16);
          }
        }
      }
      ExpectProduct(data, RunWgmma(data.run));
    }
  }
}

class Fp8WgmmaLayouts : public testing::TestWithParam<std::tuple<int, DType, DType, const char*>> {};

TEST_P(Fp8WgmmaLayouts, EqualTheTables) {
  INGOT_NEEDS_SM90();
  const auto [N, a_type, b_type, swizzle] = GetParam();
  const Fp8WgmmaData data({N, a_type, b_type, swizzle});
  ASSERT_EQ(data.run.a.size(), 4u);
  ASSERT_EQ(data.run.b.size(), 4u);
  ForEachSchedule([&] { ExpectProduct(data, RunWgmma(data.run)); });
}

std::string NameOfFp8Layout(const testing::TestParamInfo<Fp8WgmmaLayouts::ParamType>& row) {
  return "N" + std::to_string(std::get<0>(row.param)) + Name(std::get<1>(row.param)) + Name(std::get<2>(row.param)) +
         std::get<3>(row.param);
}
INSTANTIATE_TEST_SUITE_P(Types, Fp8WgmmaLayouts,
                         testing::Combine(testing::Values(64, 128, 256), testing::Values(DType::kE4m3, DType::kE5m2),
                                          testing::Values(DType::kE4m3, DType::kE5m2), testing::Values("SW128")),
                         NameOfFp8Layout);
INSTANTIATE_TEST_SUITE_P(Swizzles, Fp8WgmmaLayouts,
                         testing::Combine(testing::Values(64), testing::Values(DType::kE4m3),
                                          testing::Values(DType::kE5m2), testing::Values("INTER", "SW32", "SW64")),
                         NameOfFp8Layout);

class TensorCopies : public testing::TestWithParam<BoxCase> {};

TEST_P(TensorCopies, LoadTheBoxAndZeros) {
  INGOT_NEEDS_SM90();
  BoxData data(GetParam());
  const DeviceArray<uint16_t> tensor("tensor", data.values);
  data.layout.base = tensor.data();
  ForEachSchedule([&] {
    const SharedImage image = RunTensorLoad(data.layout, data.box.at, data.elements + 64);
    for (int i = 0; i < data.elements; ++i) {
      const int64_t place = data.PlaceOf(i);
      ASSERT_EQ(image[data.InShared(i)], place < 0 ? 0 : data.values[place]) << i;
    }
    for (int i = data.elements; i < data.elements + 64; ++i) ASSERT_EQ(image[i], 0xffff) << "behind the box";
  });
}

TEST_P(TensorCopies, StoreWhatLiesInside) {
  INGOT_NEEDS_SM90();
  BoxData data(GetParam());
  for (int& at : data.box.at) at = std::max(at, 0);
  SharedImage image(static_cast<size_t>(data.elements));
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint16_t>(60001 + i % 5000);
  ForEachSchedule([&] {
    const DeviceArray<uint16_t> tensor("tensor", data.values);
    data.layout.base = tensor.data();
    RunTensorStore(data.layout, data.box.at, image);
    std::vector<uint16_t> expected = data.values;
    for (int i = 0; i < data.elements; ++i) {
      if (const int64_t place = data.PlaceOf(i); place >= 0) expected[place] = image[data.InShared(i)];
    }
    EXPECT_EQ(tensor.Values(), expected);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Boxes, TensorCopies,
    testing::Values(BoxCase{"Inside128", {128, 40}, {64, 16}, {64, 8}, Swizzle::k128},
                    BoxCase{"Inside64", {128, 40}, {32, 16}, {32, 8}, Swizzle::k64},
                    BoxCase{"Inside32", {128, 40}, {16, 16}, {16, 8}, Swizzle::k32},
                    BoxCase{"NoSwizzle", {128, 40}, {72, 5}, {8, 3}, Swizzle::kNone},
                    BoxCase{"Beyond", {101, 13}, {64, 16}, {60, 5}, Swizzle::k128},
                    BoxCase{"Before", {101, 13}, {64, 16}, {-5, -3}, Swizzle::k128},
                    BoxCase{"Outside", {101, 13}, {64, 16}, {128, 64}, Swizzle::k128},
                    BoxCase{"ThreeDimensions", {64, 3, 11}, {64, 2, 8}, {0, 2, 6}, Swizzle::k128},
                    BoxCase{"FourDimensions", {33, 3, 5, 2}, {32, 2, 3, 2}, {3, -1, 3, 1}, Swizzle::k64}),
    [](const auto& row) { return row.param.name; });

// Boxes of single bytes, which may begin at any of them.
TEST(HopperInstructions, TensorLoadOfBytes) {
  INGOT_NEEDS_SM90();
  constexpr int kWidth = 301, kStride = 304, kHeight = 13, kRows = 16;
  std::vector<uint8_t> values(kStride * kHeight);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(1 + i * 7 % 255);
  const DeviceArray<uint8_t> tensor("tensor", values);
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    const int columns = static_cast<int>(swizzle);
    for (const auto& [x, y] : {std::pair(0, 0), std::pair(37, 2), std::pair(-5, -3), std::pair(260, 5)}) {
      const cuda::TensorMapLayout layout{.base = tensor.data(),
                                         .dtype = DType::kE4m3,
                                         .rank = 2,
                                         .sizes = {kWidth, kHeight},
                                         .strides = {1, kStride},
                                         .box = {columns, kRows},
                                         .swizzle = swizzle};
      const SharedImage image = RunTensorLoad(layout, {x, y}, columns * kRows / 2);
      for (int i = 0; i < columns * kRows; ++i) {
        const int column = x + i % columns, row = y + i / columns, at = ByteInShared(swizzle, i);
        const bool inside = column >= 0 && column < kWidth && row >= 0 && row < kHeight;
        const int expected = inside ? values[static_cast<size_t>(row * kStride + column)] : 0;
        ASSERT_EQ(image[at / 2] >> (at % 2 * 8) & 0xff, expected) << columns << ": " << i;
      }
    }
  }
}

TEST(HopperInstructions, BulkCopiesMoveARange) {
  INGOT_NEEDS_SM90();
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  ForEachSchedule([&] { EXPECT_EQ(RunBulkCopies(values), values); });
}

TEST(HopperInstructions, ParityOfTheLastCompletePhasePasses) {
  INGOT_NEEDS_SM90();
  EXPECT_EQ(RunParity(), (std::vector<int>{1, 0, 1, 0}));
}

TEST(HopperInstructions, RegistersChangeHands) {
  INGOT_NEEDS_SM90();
  ForEachSchedule([&] { EXPECT_EQ(RunRegisters(), 384); });
}

TEST(TensorMaps, RefuseWhatHardwareRefuses) {
  alignas(16) static uint16_t memory[1024];
  const cuda::TensorMapLayout good{
      .base = memory, .rank = 2, .sizes = {64, 8}, .strides = {1, 64}, .box = {64, 8}, .swizzle = Swizzle::k128};
  cuda::CheckTensorMapLayout(good);
  const auto refused = [&](const char* why, auto change) {
    cuda::TensorMapLayout bad = good;
    change(bad);
    EXPECT_DEATH(cuda::CheckTensorMapLayout(bad), why);
  };
  refused("not 16-byte aligned", [](auto& map) { map.base = memory + 1; });
  refused("5 dimensions", [](auto& map) { map.rank = 5; });
  refused("stride of 126 bytes", [](auto& map) { map.strides[1] = 63; });
  refused("stride of 4 bytes", [](auto& map) { map.strides[0] = 2; });
  refused("0 elements", [](auto& map) { map.sizes[1] = 0; });
  refused("257 elements", [](auto& map) { map.box[1] = 257; });
  refused("256 bytes", [](auto& map) { map.box[0] = 128; });
  refused("tensor map of i32", [](auto& map) { map.dtype = DType::kI32; });
}

// What the same kernels gave on an H100, as record_goldens writes it; nothing where no GPU has recorded it.
std::vector<CsvRow> RecordedOnAnH100(const std::string& name) {
  if (!std::filesystem::exists(std::string(INGOT_SOURCE_DIR) + "/tests/golden/h100/" + name)) return {};
  return ReadGolden("h100/" + name);
}

#define INGOT_NEEDS_RECORDED(rows) \
  if ((rows).empty()) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet"

std::vector<uint32_t> HexWords(const std::string& text) {
  std::vector<uint32_t> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) values.push_back(Hex(word));
  return values;
}

TEST(Conformance, WgmmaEqualsAnH100) {
  INGOT_NEEDS_SM90();
  const std::vector<CsvRow> rows = RecordedOnAnH100("wgmma.csv");
  INGOT_NEEDS_RECORDED(rows);
  for (const CsvRow& row : rows) {
    const WgmmaData data({.N = std::stoi(row[0]), .a_major = row[1], .b_major = row[2], .swizzle = row[3]});
    std::vector<uint32_t> bits;
    for (const float value : RunWgmma(data.run)) bits.push_back(std::bit_cast<uint32_t>(value));
    EXPECT_EQ(bits, HexWords(row[4])) << row[0] << row[1] << row[2] << row[3];
  }
}

TEST(Conformance, Fp8WgmmaEqualsAnH100) {
  INGOT_NEEDS_SM90();
  const std::vector<CsvRow> rows = RecordedOnAnH100("wgmma_fp8.csv");
  INGOT_NEEDS_RECORDED(rows);
  const std::map<std::string, DType> types = {{"e4m3", DType::kE4m3}, {"e5m2", DType::kE5m2}};
  for (const CsvRow& row : rows) {
    const Fp8WgmmaData data({std::stoi(row[0]), types.at(row[1]), types.at(row[2]), "SW128"});
    std::vector<uint32_t> bits;
    for (const float value : RunWgmma(data.run)) bits.push_back(std::bit_cast<uint32_t>(value));
    EXPECT_EQ(bits, HexWords(row[3])) << row[0] << row[1] << row[2];
  }
}

TEST(Conformance, TensorLoadEqualsAnH100) {
  INGOT_NEEDS_SM90();
  const std::vector<CsvRow> rows = RecordedOnAnH100("tensor_load.csv");
  INGOT_NEEDS_RECORDED(rows);
  for (const CsvRow& row : rows) {
    BoxData data(RecordedBox(std::stoi(row[0]), std::stoi(row[1]), std::stoi(row[2])));
    const DeviceArray<uint16_t> tensor("tensor", data.values);
    data.layout.base = tensor.data();
    const SharedImage image = RunTensorLoad(data.layout, data.box.at, data.elements);
    EXPECT_EQ(std::vector<uint32_t>(image.begin(), image.end()), HexWords(row[3])) << row[0] << row[1] << row[2];
  }
}

TEST(Conformance, MbarrierParityEqualsAnH100) {
  INGOT_NEEDS_SM90();
  const std::vector<CsvRow> rows = RecordedOnAnH100("mbarrier_parity.csv");
  INGOT_NEEDS_RECORDED(rows);
  EXPECT_EQ(RunParity(), Numbers(rows[0][0]));
}

}  // namespace
}  // namespace ingot
