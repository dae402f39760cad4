// The reference bodies of wgmma, TMA and mbarrier against tables that come from another source than they do (see
// tests/golden/instruction_layouts/README.md), and against what an H100 has recorded.
#include <cstring>
#include <filesystem>
#include <map>
#include <tuple>

#include "core/base/bf16.h"
#include "core/base/philox.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/shared_matrix.h"
#include "tests/kernels/emulator/device_array.h"
#include "tests/kernels/emulator/golden.h"
#include "tests/kernels/emulator/hopper_kernels.h"

namespace ingot {
namespace {

using emulator::Copies;
using emulator::Schedule;

constexpr emulator::Options kOrders[] = {{Schedule::kForward, Copies::kLate, 1},
                                         {Schedule::kReverse, Copies::kEarly, 1},
                                         {Schedule::kRandom, Copies::kRandom, 1},
                                         {Schedule::kPct, Copies::kRandom, 2}};

std::vector<int> Numbers(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream words(text);
  for (int number = 0; words >> number;) numbers.push_back(number);
  return numbers;
}

// Where the elements of a tile lie, as atoms that are put side by side.
struct Tile {
  Tile(const std::string& major, const std::string& swizzle, int mn, int k, bool mn_first)
      : size_mn(mn), size_k(k), along_mn_first(mn_first) {
    static const std::vector<CsvRow> rows = ReadGolden("instruction_layouts/gmma_smem_atoms.csv");
    for (const CsvRow& row : rows) {
      if (row[0] == major + "_" + swizzle) atom.push_back(Numbers(row[5]));
    }
  }
  int Offset(int mn, int k) const {
    const int rows = static_cast<int>(atom.size()), columns = static_cast<int>(atom[0].size());
    const int index =
        along_mn_first ? k / columns * (size_mn / rows) + mn / rows : mn / rows * (size_k / columns) + k / columns;
    return index * rows * columns + atom[mn % rows][k % columns];
  }
  int size_mn, size_k;
  bool along_mn_first;
  std::vector<std::vector<int>> atom;
};

TEST(HopperInstructions, SwizzleEqualsTheTables) {
  const std::map<std::string, int> spans = {{"1_4_3", 32}, {"2_4_3", 64}, {"3_4_3", 128}};
  for (const CsvRow& row : ReadGolden("instruction_layouts/swizzle.csv")) {
    for (const uint32_t period : {0u, 4096u}) {
      const auto in = static_cast<uint32_t>(std::stoi(row[1])), out = static_cast<uint32_t>(std::stoi(row[2]));
      EXPECT_EQ(emulator::Swizzled(period + in, spans.at(row[0])), period + out) << row[0] << " " << in;
    }
  }
}

TEST(HopperInstructions, DescriptorsNameTheElementsOfTheTables) {
  int64_t checked = 0;
  for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_descriptors.csv")) {
    const Tile tile(row[1], row[2], std::stoi(row[3]), std::stoi(row[4]), row[5] == "MN_first");
    const emulator::MatrixDescriptor matrix =
        emulator::DecodeDescriptor(std::stoull(row[10], nullptr, 16), emulator::Site::Current());
    const bool mn_major = row[1] == "MN";
    const int mn0 = std::stoi(row[8]) * 64, k0 = std::stoi(row[9]) * 16;
    for (int mn = 0; mn < std::stoi(row[7]); ++mn) {
      for (int k = 0; k < 16; ++k) {
        const int piece_mn = mn_major ? mn / 8 * 8 : mn, piece_k = mn_major ? k : k / 8 * 8;
        const int within = mn_major ? mn % 8 : k % 8;
        const uint32_t address = emulator::PieceAddress(matrix, mn_major, piece_mn, piece_k) + 2 * within;
        ASSERT_EQ(address, 1024u + 2 * tile.Offset(mn0 + mn, k0 + k)) << row[10] << " " << mn << " " << k;
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 500000);
}

// The fields that the wrapper makes, and the steps along k and m, for the tiles of one load a box.
TEST(HopperInstructions, MadeDescriptorsEqualTheTables) {
  const std::map<std::string, Swizzle> swizzles = {
      {"INTER", Swizzle::kNone}, {"SW32", Swizzle::k32}, {"SW64", Swizzle::k64}, {"SW128", Swizzle::k128}};
  std::map<std::string, CsvRow> advances;
  const auto key = [](const CsvRow& row) {
    std::string text;
    for (int i = 1; i < 8; ++i) text += row[i] + ",";
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
  EXPECT_EQ(checked, 640);
}

float WholeNumber(int i, uint64_t stream) { return static_cast<float>(Philox{9}.Below(17, stream, i)) - 8; }

struct Product {
  int N;
  std::string a_major, b_major, swizzle;
};

// Two tiles in shared memory, A (64, 64) and behind it B (N, 64), of whole numbers, whose sums are exact.
struct WgmmaData {
  explicit WgmmaData(const Product& product) : N(product.N) {
    const bool m_major = product.a_major == "MN", n_major = product.b_major == "MN";
    const Tile a_tile(product.a_major, product.swizzle, 64, 64, !m_major);
    const Tile b_tile(product.b_major, product.swizzle, N, 64, !n_major);
    run.columns = N;
    run.m_major = m_major;
    run.n_major = n_major;
    run.shared.assign(static_cast<size_t>(64 * 64 + N * 64), 0);
    for (int k = 0; k < 64; ++k) {
      for (int m = 0; m < 64; ++m) run.shared[a_tile.Offset(m, k)] = ToBf16(A(m, k)).bits;
      for (int n = 0; n < N; ++n) run.shared[64 * 64 + b_tile.Offset(n, k)] = ToBf16(B(n, k)).bits;
    }
    for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_descriptors.csv")) {
      const auto is = [&](const std::string& major, int mn, const char* role) {
        return row[1] == major && row[2] == product.swizzle && row[3] == std::to_string(mn) && row[6] == role &&
               row[5] == (major == "MN" ? "K_first" : "MN_first");
      };
      const uint64_t descriptor = std::stoull(row[10], nullptr, 16);
      if (is(product.a_major, 64, "A")) run.a.push_back(descriptor);
      if (is(product.b_major, N, "B")) run.b.push_back(descriptor + 64 * 64 * 2 / 16);
    }
  }
  static float A(int m, int k) { return WholeNumber(m * 64 + k, 1); }
  static float B(int n, int k) { return WholeNumber(n * 64 + k, 2); }
  void Expect(const std::vector<float>& d) const {
    size_t checked = 0;
    for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_fragments.csv")) {
      if (row[0] != "m64n" + std::to_string(N)) continue;
      const auto cells = Cells(row[3]);
      for (size_t i = 0; i < cells.size(); ++i) {
        float sum = 0;
        for (int k = 0; k < 64; ++k) sum += A(cells[i].first, k) * B(cells[i].second, k);
        ASSERT_EQ(d[static_cast<size_t>(std::stoi(row[2])) * cells.size() + i], sum) << row[2] << " " << i;
        ++checked;
      }
    }
    EXPECT_EQ(checked, d.size());
  }
  int N;
  WgmmaCase run;
};

class WgmmaLayouts : public testing::TestWithParam<std::tuple<int, const char*, const char*, const char*>> {};

TEST_P(WgmmaLayouts, EqualTheTables) {
  const auto [N, a_major, b_major, swizzle] = GetParam();
  const WgmmaData data({N, a_major, b_major, swizzle});
  ASSERT_EQ(data.run.a.size(), 4u);
  ASSERT_EQ(data.run.b.size(), 4u);
  for (const emulator::Options& order : kOrders) {
    const emulator::ScopedOptions scoped(order);
    data.Expect(RunWgmma(data.run));
  }
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
  for (const int N : {64, 128}) {
    for (const char* const major : {"K", "MN"}) {
      WgmmaData data({N, "K", major, "SW128"});
      data.run.a.clear();
      for (int step = 0; step < 4; ++step) {
        for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_fragments.csv")) {
          if (row[0] != "m64k16_bf16") continue;
          const auto cells = Cells(row[3]);
          for (size_t i = 0; i < cells.size(); i += 2) {
            const float low = WgmmaData::A(cells[i].first, 16 * step + cells[i].second);
            const float high = WgmmaData::A(cells[i + 1].first, 16 * step + cells[i + 1].second);
            data.run.a_registers.push_back(ToBf16(low).bits | uint32_t{ToBf16(high).bits} << 16);
          }
        }
      }
      data.Expect(RunWgmma(data.run));
    }
  }
}

struct BoxCase {
  std::string name;
  std::vector<int64_t> sizes;
  std::vector<int> box, at;
  Swizzle swizzle;
};

// The tensor's element at these coordinates, zero outside.
struct BoxData {
  explicit BoxData(const BoxCase& box_case) : box(box_case) {
    layout.rank = static_cast<int>(box.sizes.size());
    layout.swizzle = box.swizzle;
    int64_t stride = 1;
    for (int d = 0; d < layout.rank; ++d) {
      layout.sizes[d] = box.sizes[d];
      layout.strides[d] = stride;
      layout.box[d] = box.box[d];
      stride = d == 0 ? (box.sizes[0] + 7) / 8 * 8 : stride * box.sizes[d];
      elements *= box.box[d];
    }
    values.resize(static_cast<size_t>(stride));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(1 + i * 7 % 60000);
  }
  // The place in the tensor of element i of the box, or -1.
  int64_t PlaceOf(int i) const {
    int64_t place = 0;
    for (int d = 0; d < layout.rank; ++d) {
      const int64_t index = box.at[d] + i % box.box[d];
      i /= box.box[d];
      if (index < 0 || index >= box.sizes[d]) return -1;
      place += index * layout.strides[d];
    }
    return place;
  }
  // The place in shared memory of element i of the box, by the tables.
  int InShared(int i) const {
    static const std::vector<CsvRow> rows = ReadGolden("instruction_layouts/swizzle.csv");
    const std::map<Swizzle, std::string> names = {
        {Swizzle::k32, "1_4_3"}, {Swizzle::k64, "2_4_3"}, {Swizzle::k128, "3_4_3"}};
    if (box.swizzle == Swizzle::kNone) return i;
    const int bytes = 2 * i, period = 8 * static_cast<int>(box.swizzle);
    for (const CsvRow& row : rows) {
      if (row[0] != names.at(box.swizzle) || std::stoi(row[1]) != bytes % period / 16 * 16) continue;
      return (bytes / period * period + std::stoi(row[2]) + bytes % 16) / 2;
    }
    return -1;
  }
  BoxCase box;
  cuda::TensorMapLayout layout;
  std::vector<uint16_t> values;
  int elements = 1;
};

class TensorCopies : public testing::TestWithParam<BoxCase> {};

TEST_P(TensorCopies, LoadTheBoxAndZeros) {
  BoxData data(GetParam());
  const DeviceArray<uint16_t> tensor("tensor", data.values);
  data.layout.base = tensor.data();
  for (const emulator::Options& order : kOrders) {
    const emulator::ScopedOptions scoped(order);
    const SharedImage image = RunTensorLoad(data.layout, data.box.at, data.elements + 64);
    for (int i = 0; i < data.elements; ++i) {
      const int64_t place = data.PlaceOf(i);
      ASSERT_EQ(image[data.InShared(i)], place < 0 ? 0 : data.values[place]) << i;
    }
    for (int i = data.elements; i < data.elements + 64; ++i) ASSERT_EQ(image[i], 0xffff) << "behind the box";
  }
}

TEST_P(TensorCopies, StoreWhatLiesInside) {
  BoxData data(GetParam());
  for (int& at : data.box.at) at = std::max(at, 0);
  SharedImage image(static_cast<size_t>(data.elements));
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<uint16_t>(60001 + i % 5000);
  for (const emulator::Options& order : kOrders) {
    const emulator::ScopedOptions scoped(order);
    const DeviceArray<uint16_t> tensor("tensor", data.values);
    data.layout.base = tensor.data();
    RunTensorStore(data.layout, data.box.at, image);
    std::vector<uint16_t> expected = data.values;
    for (int i = 0; i < data.elements; ++i) {
      if (const int64_t place = data.PlaceOf(i); place >= 0) expected[place] = image[data.InShared(i)];
    }
    EXPECT_EQ(tensor.Values(), expected);
  }
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

TEST(HopperInstructions, BulkCopiesMoveARange) {
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (const emulator::Options& order : kOrders) {
    const emulator::ScopedOptions scoped(order);
    EXPECT_EQ(RunBulkCopies(values), values);
  }
}

TEST(HopperInstructions, ParityOfTheLastCompletePhasePasses) { EXPECT_EQ(RunParity(), (std::vector<int>{1, 0, 1, 0})); }

TEST(HopperInstructions, RegistersChangeHands) {
  for (const emulator::Options& order : kOrders) {
    const emulator::ScopedOptions scoped(order);
    EXPECT_EQ(RunRegisters(), 384);
  }
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

// What the same kernels gave on a GPU: rows `case,words`.
std::vector<CsvRow> RecordedOnAnH100(const std::string& name) {
  if (!std::filesystem::exists(std::string(INGOT_SOURCE_DIR) + "/tests/golden/h100/" + name)) return {};
  return ReadGolden("h100/" + name);
}

std::vector<uint32_t> HexWords(const std::string& text) {
  std::vector<uint32_t> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) values.push_back(Hex(word));
  return values;
}

TEST(Conformance, WgmmaEqualsAnH100) {
  const std::vector<CsvRow> rows = RecordedOnAnH100("wgmma.csv");  // N, majors, swizzle, bits of d
  if (rows.empty()) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  for (const CsvRow& row : rows) {
    const WgmmaData data({std::stoi(row[0]), row[1], row[2], row[3]});
    std::vector<uint32_t> bits;
    for (const float value : RunWgmma(data.run)) bits.push_back(std::bit_cast<uint32_t>(value));
    EXPECT_EQ(bits, HexWords(row[4]));
  }
}

TEST(Conformance, TensorLoadEqualsAnH100) {
  const std::vector<CsvRow> rows = RecordedOnAnH100("tensor_load.csv");  // swizzle in bytes, x, y, shared image
  if (rows.empty()) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  for (const CsvRow& row : rows) {
    const int span = std::stoi(row[0]);
    BoxData data({"", {101, 13}, {span / 2, 16}, {std::stoi(row[1]), std::stoi(row[2])}, static_cast<Swizzle>(span)});
    const DeviceArray<uint16_t> tensor("tensor", data.values);
    data.layout.base = tensor.data();
    const SharedImage image = RunTensorLoad(data.layout, data.box.at, data.elements);
    EXPECT_EQ(std::vector<uint32_t>(image.begin(), image.end()), HexWords(row[3]));
  }
}

TEST(Conformance, MbarrierParityEqualsAnH100) {
  const std::vector<CsvRow> rows =
      RecordedOnAnH100("mbarrier_parity.csv");  // parities that pass after 0, 1, 2, 3 phases
  if (rows.empty()) GTEST_SKIP() << "unrecorded: no H100 has written tests/golden/h100 yet";
  EXPECT_EQ(RunParity(), Numbers(rows[0][0]));
}

}  // namespace
}  // namespace ingot
