#include "kernels/add.h"

#include "kernels/checks.h"

namespace ingot {
namespace {

void CheckSum(const char* op, const Tensor& x, const Tensor& y) {
  INGOT_CHECK(Count(x) == Count(y), "%s: %lld elements to %lld", op, static_cast<long long>(Count(x)),
              static_cast<long long>(Count(y)));
  CheckF32(op, {x, y});
  CheckApart(op, {y}, {x});
}

}  // namespace

void Add::Check() const { CheckSum(kName, x, y); }

Work Add::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + 2 * Bytes(y)), .flops = static_cast<double>(Count(x))};
}

void AddAndClear::Check() const { CheckSum(kName, x, y); }

Work AddAndClear::Cost() const {
  return {.bytes = static_cast<double>(2 * Bytes(x) + 2 * Bytes(y)), .flops = static_cast<double>(Count(x))};
}

}  // namespace ingot
