#pragma once
// Operands of wgmma and boxes of TMA, laid out by the tables of tests/golden/instruction_layouts.
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/bf16.h"
#include "core/base/fp8.h"
#include "core/base/philox.h"
#include "tests/kernels/emulator/golden.h"
#include "tests/kernels/emulator/instruction_kernels_sm90.h"

namespace ingot {

inline std::vector<int> Numbers(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream words(text);
  for (int number = 0; words >> number;) numbers.push_back(number);
  return numbers;
}

// Where the elements of a tile lie, as atoms that are put side by side.
struct Tile {
  Tile(const std::string& type, const std::string& major, const std::string& swizzle, int mn, int k, bool mn_first)
      : size_mn(mn), size_k(k), along_mn_first(mn_first) {
    static const std::vector<CsvRow> rows = ReadGolden("instruction_layouts/gmma_smem_atoms.csv");
    for (const CsvRow& row : rows) {
      if (row[0] == major + "_" + swizzle && row[1] == type) atom.push_back(Numbers(row[5]));
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

struct Product {
  int N = 64;
  std::string a_major, b_major, swizzle;  // as the tables call them
  bool fractions = false;                 // operands from -1 to 1, whose sums are rounded, instead of whole numbers
};

// Whole numbers from -8 to 8, or fractions from -1 to 1.
inline float NumberOfTile(bool fractions, int i, uint64_t stream) {
  if (fractions) return static_cast<float>(Philox{9}.Below(1 << 20, stream + 2, i)) / (1 << 19) - 1;
  return static_cast<float>(Philox{9}.Below(17, stream, i)) - 8;
}

// Two tiles in shared memory, A (64, 64) and behind it B (N, 64).
struct WgmmaData {
  explicit WgmmaData(const Product& of) : product(of) {
    const int N = product.N;
    const bool m_major = product.a_major == "MN", n_major = product.b_major == "MN";
    const Tile a_tile("bf16", product.a_major, product.swizzle, 64, 64, !m_major);
    const Tile b_tile("bf16", product.b_major, product.swizzle, N, 64, !n_major);
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
        return row[0] == "bf16" && row[1] == major && row[2] == product.swizzle && row[3] == std::to_string(mn) &&
               row[6] == role && row[5] == (major == "MN" ? "K_first" : "MN_first");
      };
      const uint64_t descriptor = std::stoull(row[10], nullptr, 16);
      if (is(product.a_major, 64, "A")) run.a.push_back(descriptor);
      if (is(product.b_major, N, "B")) run.b.push_back(descriptor + 64 * 64 * 2 / 16);
    }
  }
  float A(int m, int k) const { return NumberOfTile(product.fractions, m * 64 + k, 1); }
  float B(int n, int k) const { return NumberOfTile(product.fractions, n * 64 + k, 2); }
  int N() const { return product.N; }
  static constexpr int K() { return 64; }
  Product product;
  WgmmaCase run;
};

struct Fp8Product {
  int N = 64;
  DType a_type = DType::kE4m3, b_type = DType::kE4m3;
  std::string swizzle;
  bool fractions = false;
};

// The same of fp8: A (64, 128), B (N, 128). The tables know tiles of 128 rows; with atoms along k first, shorter and longer ones
// have the same descriptors.
struct Fp8WgmmaData {
  explicit Fp8WgmmaData(const Fp8Product& of) : product(of) {
    const Tile a_tile("e4m3", "K", product.swizzle, 64, K(), false),
        b_tile("e4m3", "K", product.swizzle, N(), K(), false);
    run.columns = N();
    run.a_type = product.a_type;
    run.b_type = product.b_type;
    run.shared.assign(static_cast<size_t>((64 + N()) * K() / 2), 0);
    const auto put = [&](int at, uint8_t code) { run.shared[at / 2] |= static_cast<uint16_t>(code << (at % 2 * 8)); };
    for (int k = 0; k < K(); ++k) {
      for (int m = 0; m < 64; ++m) put(a_tile.Offset(m, k), Code(product.a_type, Number(m, k, 1)));
      for (int n = 0; n < N(); ++n) put(64 * K() + b_tile.Offset(n, k), Code(product.b_type, Number(n, k, 2)));
    }
    for (const CsvRow& row : ReadGolden("instruction_layouts/wgmma_descriptors.csv")) {
      if (row[0] != "e4m3" || row[2] != product.swizzle || row[5] != "K_first" || row[8] != "0") continue;
      const uint64_t descriptor = std::stoull(row[10], nullptr, 16);
      row[6] == "A" ? run.a.push_back(descriptor) : run.b.push_back(descriptor + 64 * K() / 16);
    }
  }
  static uint8_t Code(DType type, float x) { return type == DType::kE4m3 ? ToFp8<E4m3>(x).bits : ToFp8<E5m2>(x).bits; }
  float Number(int mn, int k, uint64_t stream) const { return NumberOfTile(product.fractions, mn * K() + k, stream); }
  float Rounded(DType type, float x) const {
    return type == DType::kE4m3 ? ToFloat(ToFp8<E4m3>(x)) : ToFloat(ToFp8<E5m2>(x));
  }
  float A(int m, int k) const { return Rounded(product.a_type, Number(m, k, 1)); }
  float B(int n, int k) const { return Rounded(product.b_type, Number(n, k, 2)); }
  int N() const { return product.N; }
  static constexpr int K() { return 128; }
  Fp8Product product;
  WgmmaCase run;
};

// The place in shared memory of a byte of a box, by the tables.
inline int ByteInShared(Swizzle swizzle, int byte) {
  static const std::vector<CsvRow> rows = ReadGolden("instruction_layouts/swizzle.csv");
  const std::map<Swizzle, std::string> names = {
      {Swizzle::k32, "1_4_3"}, {Swizzle::k64, "2_4_3"}, {Swizzle::k128, "3_4_3"}};
  if (swizzle == Swizzle::kNone) return byte;
  const int period = 8 * static_cast<int>(swizzle);
  for (const CsvRow& row : rows) {
    if (row[0] != names.at(swizzle) || std::stoi(row[1]) != byte % period / 16 * 16) continue;
    return byte / period * period + std::stoi(row[2]) + byte % 16;
  }
  return -1;
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
  // The place in shared memory of element i of the box.
  int InShared(int i) const { return ByteInShared(box.swizzle, 2 * i) / 2; }
  BoxCase box;
  cuda::TensorMapLayout layout;
  std::vector<uint16_t> values;
  int elements = 1;
};

// The boxes of tensor_load.csv: 16 rows as wide as the swizzle, at element (x, y) of a tensor with 13 rows of 101.
inline BoxCase RecordedBox(int swizzle_bytes, int x, int y) {
  return {"", {101, 13}, {swizzle_bytes / 2, 16}, {x, y}, static_cast<Swizzle>(swizzle_bytes)};
}

}  // namespace ingot
