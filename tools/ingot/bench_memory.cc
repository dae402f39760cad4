#include "tools/ingot/bench_memory.h"

#include "core/base/bf16.h"

namespace ingot {
namespace {

// From -1 to 1.
float ValueOf(int64_t i) { return static_cast<float>((i * 2654435761u >> 8) % 2048) / 1024.0f - 1.0f; }

}  // namespace

Tensor BenchMemory::Take(DType type, std::initializer_list<int64_t> shape) {
  Tensor t(nullptr, type, shape);
  if (backend_ == nullptr) return t;
  absl::StatusOr<Arena> arena = backend_->CreateArena("bench", std::max<int64_t>(ingot::Bytes(t), 1));
  if (!arena.ok()) {
    if (status_.ok()) status_ = arena.status();
    return t;
  }
  arenas_.push_back(*std::move(arena));
  t.ptr = arenas_.back().Take("bench", DType::kU8, {ingot::Bytes(t)}).ptr;
  tensors_.push_back(t);
  return t;
}

void BenchMemory::Upload(const Tensor& t, const void* values) {
  if (t.ptr == nullptr) return;
  const absl::Status copied = backend_->CopyIn(t, values);
  if (status_.ok()) status_ = copied;
}

Tensor BenchMemory::F64(int64_t count) {
  const Tensor t = Take(DType::kF64, {count});
  if (t.ptr != nullptr && status_.ok()) status_ = backend_->FillZero(t);
  return t;
}

Tensor BenchMemory::Scalars(std::initializer_list<int64_t> shape, float scale) {
  const bool on_cpu = backend_ != nullptr && backend_->device() == Device::kCpu;
  return Floats(on_cpu ? DType::kF32 : scalar_, shape, scale, 0, scalar_ == DType::kBf16);
}

Tensor BenchMemory::Floats(DType type, std::initializer_list<int64_t> shape, float scale, float shift, bool rounded) {
  const Tensor t = Take(type, shape);
  if (t.ptr == nullptr) return t;
  const int64_t count = Count(t);
  const auto value = [=](int64_t i) {
    const float x = scale * ValueOf(i) + shift;
    return rounded ? ToFloat(ToBf16(x)) : x;
  };
  std::vector<float> floats(type == DType::kF32 ? count : 0);
  std::vector<Bf16> halves(type == DType::kF32 ? 0 : count);
#pragma omp parallel for
  for (int64_t i = 0; i < count; ++i) {
    if (type == DType::kF32) {
      floats[i] = value(i);
    } else {
      halves[i] = ToBf16(value(i));
    }
  }
  Upload(t, type == DType::kF32 ? static_cast<const void*>(floats.data()) : halves.data());
  return t;
}

Fp8Matrix BenchMemory::Fp8(DType type, int64_t R, int64_t C) {
  const Fp8Matrix y = {.rows = Take(type, {R, C}),
                       .columns = Take(type, {C, R}),
                       .scales = Take(DType::kF32, {Fp8Matrix::Blocks(R), Fp8Matrix::Blocks(C)})};
  if (backend_ == nullptr || !status_.ok()) return y;
  constexpr float kScale = 1.0f / 256;
  std::vector<uint8_t> rows(Count(y.rows)), columns(rows.size());
#pragma omp parallel for
  for (int64_t r = 0; r < R; ++r) {
    for (int64_t c = 0; c < C; ++c) {
      const float x = ValueOf(r * C + c) / kScale;
      rows[r * C + c] = columns[c * R + r] = type == DType::kE4m3 ? ToFp8<E4m3>(x).bits : ToFp8<E5m2>(x).bits;
    }
  }
  Upload(y.rows, rows.data());
  Upload(y.columns, columns.data());
  Upload(y.scales, std::vector<float>(Count(y.scales), kScale).data());
  return y;
}

Tensor BenchMemory::I32(std::initializer_list<int64_t> shape, int64_t limit, int64_t step) {
  const Tensor t = Take(DType::kI32, shape);
  if (t.ptr == nullptr) return t;
  std::vector<int32_t> values(Count(t));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int32_t>(static_cast<int64_t>(i) * step % limit);
  }
  Upload(t, values.data());
  return t;
}

}  // namespace ingot
