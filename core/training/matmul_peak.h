#pragma once
// The roof of a training step: the fastest matrix product that this machine does, measured when asked for.
#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "kernels/context.h"

namespace ingot {

// FLOP/s of a square product of `dtype` matrices, the best of several; measured once a process for each device and type.
// CPU and emulator: MeasureSgemmPeak() (the emulator's products go through the same library); a GPU: 8,192 rows.
absl::StatusOr<double> MatmulPeak(Device device, DType dtype);

}  // namespace ingot
