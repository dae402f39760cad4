#pragma once
// Parts of a flat buffer (core/model/parameter_table.h) in host memory: what one rank keeps, reads or writes of it.
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/tensor.h"
#include "distributed/sum_tree.h"

namespace ingot {

// Elements `range` of a flat buffer; a Tensor is all of one.
struct FlatPart {
  FlatPart() = default;
  FlatPart(const Tensor& whole) : range{0, Count(whole)}, values(whole) {}
  FlatPart(Interval elements, const Tensor& memory) : range(elements), values(memory) {
    INGOT_CHECK(range.size() == Count(values), "a part of %lld elements in memory for %lld",
                static_cast<long long>(range.size()), static_cast<long long>(Count(values)));
  }
  // Where element `begin` of the flat buffer lies.
  void* At(int64_t begin) const {
    return static_cast<char*>(values.ptr) + (begin - range.begin) * SizeOf(values.dtype);
  }

  Interval range;
  Tensor values;  // (range.size())
};

// Ascending parts that do not touch.
class FlatParts {
 public:
  FlatParts() = default;
  FlatParts(const Tensor& whole) : dtype_(whole.dtype), parts_{whole} {}
  FlatParts(DType dtype, std::vector<FlatPart> parts) : dtype_(dtype), parts_(std::move(parts)) {}

  DType dtype() const { return dtype_; }
  const std::vector<FlatPart>& parts() const { return parts_; }
  // Where elements `range` lie; they must be in one part.
  void* At(Interval range) const;

 private:
  DType dtype_ = DType::kF32;
  std::vector<FlatPart> parts_;
};

// Empty where they do not meet: begin = end.
Interval Intersection(Interval a, Interval b);

// The same elements as ascending intervals that do not touch.
std::vector<Interval> Joined(std::vector<Interval> intervals);

}  // namespace ingot
