#include "tools/ingot/bench_check.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/bf16.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "tools/ingot/bench_cases.h"
#include "tools/ingot/bench_models.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;
using Values = std::vector<double>;

absl::StatusOr<Values> ValuesOf(const Backend& backend, const Tensor& t) {
  std::vector<char> bytes(static_cast<size_t>(Bytes(t)));
  INGOT_RETURN_IF_ERROR(backend.CopyOut(bytes.data(), t));
  Values values(Count(t));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (t.dtype) {
      case DType::kBf16:
        values[i] = static_cast<double>(ToFloat(reinterpret_cast<const Bf16*>(bytes.data())[i]));
        break;
      case DType::kE4m3:
        values[i] = static_cast<double>(ToFloat(reinterpret_cast<const E4m3*>(bytes.data())[i]));
        break;
      case DType::kE5m2:
        values[i] = static_cast<double>(ToFloat(reinterpret_cast<const E5m2*>(bytes.data())[i]));
        break;
      case DType::kF64:
        values[i] = reinterpret_cast<const double*>(bytes.data())[i];
        break;
      case DType::kF32:
        values[i] = static_cast<double>(reinterpret_cast<const float*>(bytes.data())[i]);
        break;
      default:
        values[i] = reinterpret_cast<const int32_t*>(bytes.data())[i];
    }
  }
  return values;
}

// |found - wanted| / |wanted|; not finite if one of them is not.
double Difference(const Values& found, const Values& wanted) {
  double squares = 0, norm = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    squares += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    norm += wanted[i] * wanted[i];
  }
  return std::sqrt(squares) / std::sqrt(norm > 0 ? norm : 1);
}

// A case's tensors behind its run.
struct Outcome {
  std::string model, op, shape;
  std::vector<Values> tensors;
};

absl::StatusOr<std::vector<Outcome>> RunGroup(const BenchModel& model, int group, const Backend& backend, DType scalar,
                                              const std::string& filter) {
  std::vector<Outcome> outcomes;
  const auto visit = [&](const KernelCase& k) -> absl::Status {
    if (!k.compared || (k.model + " " + k.op).find(filter) == std::string::npos) return absl::OkStatus();
    BenchMemory scratch(&backend, DType::kF32);
    Context context = backend.MakeContext(scratch.Bytes(k.scratch_bytes));
    INGOT_RETURN_IF_ERROR(scratch.status());
    k.run(context);
    outcomes.push_back({k.model, k.op, k.shape, {}});
    for (const Tensor& t : k.tensors) {
      INGOT_ASSIGN_OR_RETURN(Values values, ValuesOf(backend, t));
      outcomes.back().tensors.push_back(std::move(values));
    }
    return absl::OkStatus();
  };
  INGOT_RETURN_IF_ERROR(VisitGroup(model, group, &backend, scalar, visit));
  return outcomes;
}

}  // namespace

absl::StatusOr<Json> CheckKernels(DType scalar, const std::string& filter, bool& good) {
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> cpu, Backend::Create(Device::kCpu));
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> cuda_backend, Backend::Create(Device::kCuda));
  const double most = scalar == DType::kBf16 ? 1e-2 : 1e-4;
  Json ops = Json::array();
  good = true;
  for (const BenchModel& model : cuda::IsEmulated() ? TinyModels() : GpuCheckModels()) {
    for (int group = 0; group < kBenchGroups; ++group) {
      INGOT_ASSIGN_OR_RETURN(const std::vector<Outcome> wanted, RunGroup(model, group, *cpu, scalar, filter));
      INGOT_ASSIGN_OR_RETURN(const std::vector<Outcome> found, RunGroup(model, group, *cuda_backend, scalar, filter));
      for (size_t i = 0; i < wanted.size(); ++i) {
        double worst = 0;
        for (size_t t = 0; t < wanted[i].tensors.size(); ++t) {
          const double difference = Difference(found[i].tensors[t], wanted[i].tensors[t]);
          worst = std::isnan(difference) ? HUGE_VAL : std::max(worst, difference);
        }
        const bool passed = worst <= most;
        good = good && passed;
        ops.push_back({{"model", wanted[i].model},
                       {"op", wanted[i].op},
                       {"shape", wanted[i].shape},
                       {"relative_difference", worst},
                       {"passed", passed}});
      }
    }
  }
  return Json{{"device", cuda_backend->name()},
              {"precision", Name(scalar)},
              {"products", cuda::GemmLibrary()},
              {"allowed_difference", most},
              {"ops", ops}};
}

}  // namespace ingot
