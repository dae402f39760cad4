#include "kernels/quantize_fp8.h"

#include "kernels/checks.h"
#include "kernels/cpu/fp8_blocks.h"

namespace ingot {

void QuantizeFp8::OnCpu(Context&) const {
  CheckMemory(kName, {x, y.rows, y.columns, y.scales});
  QuantizeRows(x.data<float>(), 0, x.dim(0), x.dim(1), y);
}

}  // namespace ingot
