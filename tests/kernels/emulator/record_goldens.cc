// record_goldens DIR: runs the instruction wrappers on this build's device and writes what came out, for the conformance
// tests, as DIR/*.csv, and whose results they are as DIR/device.txt. Those of an H100 belong in tests/golden/h100; what
// the emulator writes is good for a rehearsal only.
#include <bit>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "core/base/bf16.h"
#include "core/base/philox.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/tensor_map.h"
#include "tests/kernels/emulator/device_array.h"
#include "tests/kernels/emulator/instruction_data_sm90.h"
#include "tests/kernels/emulator/instruction_kernels.h"

namespace ingot {
namespace {

constexpr int kA = 32 * 4, kB = 32 * 2, kD = 32 * 4;  // registers of m16n8k16

std::string Text(const Registers& registers) {
  std::string text;
  char word[16];
  for (const uint32_t value : registers) {
    std::snprintf(word, sizeof(word), "%s%08x", text.empty() ? "" : " ", value);
    text += word;
  }
  return text;
}

// Registers of two bf16 each, or of one float, made by value(i) of the i-th number.
template <typename Value>
Registers Pairs(int count, const Value& value) {
  Registers registers;
  for (int i = 0; i < count; ++i) {
    registers.push_back(ToBf16(value(2 * i)).bits | uint32_t{ToBf16(value(2 * i + 1)).bits} << 16);
  }
  return registers;
}
template <typename Value>
Registers Floats(int count, const Value& value) {
  Registers registers;
  for (int i = 0; i < count; ++i) registers.push_back(std::bit_cast<uint32_t>(value(i)));
  return registers;
}

class MmaFile {
 public:
  explicit MmaFile(const std::string& path) : file_(path) { file_ << "case,a,b,c,d\n"; }
  void Record(const std::string& name, const Registers& a, const Registers& b, const Registers& c) {
    file_ << name << ',' << Text(a) << ',' << Text(b) << ',' << Text(c) << ',' << Text(RunMma(a, b, c)) << '\n';
  }
  bool good() const { return file_.good(); }

 private:
  std::ofstream file_;
};

float Whole(uint64_t stream, int i) { return static_cast<float>(Philox{9}.Below(17, stream, i)) - 8; }

// Sums that are exact in f32: any right implementation gives these bits.
bool RecordExactSums(const std::string& path) {
  MmaFile file(path);
  for (uint64_t round = 0; round < 8; ++round) {
    file.Record("whole" + std::to_string(round), Pairs(kA, [&](int i) { return Whole(3 * round, i); }),
                Pairs(kB, [&](int i) { return Whole(3 * round + 1, i); }),
                Floats(kD, [&](int i) { return Whole(3 * round + 2, i); }));
  }
  for (int hot = 0; hot < 2 * kA; ++hot) {
    file.Record("one_hot" + std::to_string(hot), Pairs(kA, [&](int i) { return i == hot ? 1.0f : 0.0f; }),
                Pairs(kB, [](int i) { return static_cast<float>(i + 1); }), Floats(kD, [](int) { return 0.0f; }));
  }
  return file.good();
}

// Sums whose bits depend on the order and the width of the adder, and numbers that are not ordinary.
bool RecordRounding(const std::string& path) {
  MmaFile file(path);
  const auto uniform = [](uint64_t stream, int i) {
    return static_cast<float>(Philox{9}.Below(1 << 20, stream, i)) / (1 << 19) - 1;
  };
  for (uint64_t round = 0; round < 8; ++round) {
    file.Record("random" + std::to_string(round), Pairs(kA, [&](int i) { return uniform(100 + 3 * round, i); }),
                Pairs(kB, [&](int i) { return uniform(101 + 3 * round, i); }),
                Floats(kD, [&](int i) { return uniform(102 + 3 * round, i); }));
  }
  for (int exponent = 2; exponent <= 30; exponent += 4) {
    const float large = std::ldexp(1.0f, exponent);
    file.Record("cancels" + std::to_string(exponent),
                Pairs(kA, [&](int i) { return i % 4 == 0 ? large : (i % 4 == 2 ? -large : 1.0f); }),
                Pairs(kB, [](int) { return 1.0f; }), Floats(kD, [](int i) { return std::ldexp(1.0f, -i % 24); }));
  }
  const float special[] = {INFINITY, -INFINITY, NAN, 1e-40f, -0.0f, 3e38f};
  for (int i = 0; i < 6; ++i) {
    file.Record("special" + std::to_string(i), Pairs(kA, [&](int n) { return n % 16 == 0 ? special[i] : 1.0f; }),
                Pairs(kB, [](int) { return 1.0f; }), Floats(kD, [](int) { return 0.0f; }));
  }
  return file.good();
}

bool RecordLoadMatrix(const std::string& path) {
  std::ofstream file(path);
  std::vector<uint16_t> memory(32 * 8);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<uint16_t>(i);
  std::vector<int> rows(32);
  for (int lane = 0; lane < 32; ++lane) rows[lane] = lane;
  file << "matrices,transposed,registers\n";
  for (const int matrices : {1, 2, 4}) {
    for (const bool transposed : {false, true}) {
      file << matrices << ',' << transposed << ',' << Text(RunLoadMatrix(memory, rows, matrices, transposed)) << '\n';
    }
  }
  return file.good();
}

// The floats of the table of roundings, among them every midpoint of two fp8 values and its neighbours, and floats
// spread evenly over all patterns.
bool RecordPackFp8(const std::string& path) {
  std::vector<float> values;
  for (const CsvRow& row : ReadGolden("instruction_layouts/f32_to_fp8.csv")) {
    values.push_back(std::bit_cast<float>(Hex(row[0])));
  }
  for (uint32_t upper = 0; upper < 0x10000; upper += 37) values.push_back(std::bit_cast<float>(upper << 16));
  const std::vector<uint16_t> packed = RunPackFp8(values);
  std::ofstream file(path);
  file << "f32,e4m3,e5m2\n" << std::hex;
  for (size_t i = 0; i < values.size(); ++i) {
    file << std::bit_cast<uint32_t>(values[i]) << ',' << (packed[i] & 0xff) << ',' << (packed[i] >> 8) << '\n';
  }
  return file.good();
}

// N, majors and swizzle of the tables, and all registers of d, thread after thread.
bool RecordWgmma(const std::string& path, bool fractions) {
  std::ofstream file(path);
  file << "n,a_major,b_major,swizzle,d\n";
  for (const int N : {64, 128, 256}) {
    for (const char* const a_major : {"K", "MN"}) {
      for (const char* const b_major : {"K", "MN"}) {
        for (const char* const swizzle : {"INTER", "SW32", "SW64", "SW128"}) {
          const WgmmaData data({N, a_major, b_major, swizzle, fractions});
          const std::vector<float> d = RunWgmma(data.run);
          file << N << ',' << a_major << ',' << b_major << ',' << swizzle << ','
               << Text(Floats(static_cast<int>(d.size()), [&](int i) { return d[static_cast<size_t>(i)]; })) << '\n';
        }
      }
    }
  }
  return file.good();
}

// N and types, and all registers of d, of tiles in the 128-byte pattern.
bool RecordFp8Wgmma(const std::string& path, bool fractions) {
  std::ofstream file(path);
  file << "n,a_type,b_type,d\n";
  for (const int N : {64, 128, 256}) {
    for (const DType a_type : {DType::kE4m3, DType::kE5m2}) {
      for (const DType b_type : {DType::kE4m3, DType::kE5m2}) {
        const std::vector<float> d = RunWgmma(Fp8WgmmaData({N, a_type, b_type, "SW128", fractions}).run);
        file << N << ',' << Name(a_type) << ',' << Name(b_type) << ','
             << Text(Floats(static_cast<int>(d.size()), [&](int i) { return d[static_cast<size_t>(i)]; })) << '\n';
      }
    }
  }
  return file.good();
}

// The swizzle, where the box begins, and the image of it in shared memory.
bool RecordTensorLoad(const std::string& path) {
  std::ofstream file(path);
  file << "swizzle_bytes,x,y,image\n";
  for (const int swizzle : {16, 32, 64, 128}) {
    for (const auto& [x, y] :
         {std::pair(0, 0), std::pair(40, 2), std::pair(-5, -3), std::pair(95, 5), std::pair(128, 64)}) {
      BoxData data(RecordedBox(swizzle, x, y));
      const DeviceArray<uint16_t> tensor("tensor", data.values);
      data.layout.base = tensor.data();
      const SharedImage image = RunTensorLoad(data.layout, data.box.at, data.elements);
      file << swizzle << ',' << x << ',' << y << ',' << Text({image.begin(), image.end()}) << '\n';
    }
  }
  return file.good();
}

// The parity of the phase that a wait for it passes, after 0, 1, 2 and 3 phases.
bool RecordParity(const std::string& path) {
  std::ofstream file(path);
  file << "parities\n";
  for (const int parity : RunParity()) file << parity << ' ';
  file << '\n';
  return file.good();
}

// The wrappers of sm_90a: on the emulator whatever it emulates, since this is a rehearsal there.
bool RecordSm90(const std::string& folder) {
  if (!cuda::IsEmulated() && !cuda::HasSm90()) {
    std::printf("wgmma, TMA and mbarrier stay unrecorded: this GPU is not of compute capability 9.0\n");
    return true;
  }
  return RecordWgmma(folder + "/wgmma.csv", false) && RecordWgmma(folder + "/wgmma_rounding.csv", true) &&
         RecordFp8Wgmma(folder + "/wgmma_fp8.csv", false) && RecordFp8Wgmma(folder + "/wgmma_fp8_rounding.csv", true) &&
         RecordTensorLoad(folder + "/tensor_load.csv") && RecordParity(folder + "/mbarrier_parity.csv");
}

bool RecordAll(const std::string& folder, const std::string& device) {
  std::ofstream name(folder + "/device.txt");
  name << device << '\n';
  return name.good() && RecordExactSums(folder + "/mma_m16n8k16.csv") &&
         RecordRounding(folder + "/mma_m16n8k16_rounding.csv") && RecordLoadMatrix(folder + "/ldmatrix.csv") &&
         RecordPackFp8(folder + "/pack_fp8.csv") && RecordSm90(folder);
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: record_goldens DIR\n");
    return 2;
  }
  const auto device = ingot::cuda::SelectDevice(0);
  if (!device.ok()) {
    std::fprintf(stderr, "record_goldens: %s\n", std::string(device.status().message()).c_str());
    return 1;
  }
  if (ingot::RecordAll(argv[1], *device)) return 0;
  std::fprintf(stderr, "record_goldens: %s: cannot be written\n", argv[1]);
  return 1;
}
