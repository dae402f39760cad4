// ingot bench kernels: every op at the shapes of real models, as a share of the roofs measured in the same run; or, with
// --predict, the time that given roofs allow.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"
#include "kernels/cpu/blas.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "tools/ingot/bench.h"
#include "tools/ingot/bench_cases.h"
#include "tools/ingot/bench_check.h"
#include "tools/ingot/bench_models.h"
#include "tools/ingot/bench_roofs.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  bool json = false, predict = false, check = false;
  std::string filter, device, precision;
  double seconds = 0.2;
  // Of an H100, assumed until one has been measured (docs/performance.md).
  double copy = 2.9, products = 700, fp8_products = 1000, attention = 206, attention_backward = 138;
};

bool Wanted(const Options& options, const KernelCase& k) {
  return (k.model + " " + k.op).find(options.filter) != std::string::npos;
}

Json Describe(const KernelCase& k) { return {{"model", k.model}, {"op", k.op}, {"shape", k.shape}}; }

// The time that the roof allows is the larger of the arithmetic at the product's speed and the bytes at the copy's.
// Tensors that stay in cache can exceed it.
Json Measured(const KernelCase& k, double seconds, const Roofs& roofs) {
  const double bytes = k.work.bytes + k.logit_bytes;
  Json row = Describe(k);
  row["milliseconds"] = seconds * 1e3;
  row["gigabytes_per_second"] = bytes / seconds / 1e9;
  row["gigaflops"] = k.work.flops / seconds / 1e9;
  row["share_of_copy"] = bytes / seconds / roofs.copy_bytes;
  row["share_of_product"] = k.work.flops / seconds / roofs.product_flops;
  row["share_of_roof"] = std::max(k.work.flops / roofs.product_flops, bytes / roofs.copy_bytes) / seconds;
  return row;
}

// The head's kernels follow one another, so that their times add up; other ops overlap bytes and arithmetic.
Json Predicted(const KernelCase& k, const Options& options) {
  double flops = options.products;
  if (k.kind == OpKind::kFp8Product || k.kind == OpKind::kFp8Head) flops = options.fp8_products;
  if (k.kind == OpKind::kAttention) flops = options.attention;
  if (k.kind == OpKind::kAttentionBackward) flops = options.attention_backward;
  const double arithmetic = k.work.flops / (flops * 1e12), memory = k.work.bytes / (options.copy * 1e12);
  const double logits = k.logit_bytes / (options.copy * 1e12);
  Json row = Describe(k);
  row["megabytes"] = (k.work.bytes + k.logit_bytes) / 1e6;
  row["gigaflop"] = k.work.flops / 1e9;
  row["microseconds"] = (std::max(arithmetic, memory) + logits) * 1e6;
  row["bound_by"] = arithmetic > memory ? "arithmetic" : "memory";
  return row;
}

absl::Status RunCase(const KernelCase& k, const Backend& backend, const WorkTimer& timer, double seconds,
                     double& median) {
  BenchMemory scratch(&backend, DType::kF32);
  Context context = backend.MakeContext(scratch.Bytes(k.scratch_bytes));
  INGOT_RETURN_IF_ERROR(scratch.status());
  INGOT_ASSIGN_OR_RETURN(median, timer.Median([&] { k.run(context); }, seconds));
  return backend.Wait();
}

absl::StatusOr<Json> Measure(const Options& options, Device device) {
  const DType scalar = PrecisionOf(options.precision, device);
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> backend, Backend::Create(device));
  INGOT_ASSIGN_OR_RETURN(const Roofs roofs, MeasureRoofs(*backend, scalar));
  INGOT_ASSIGN_OR_RETURN(const WorkTimer timer, WorkTimer::Create(*backend));
  Json ops = Json::array();
  const auto visit = [&](const KernelCase& k) -> absl::Status {
    if (!Wanted(options, k)) return absl::OkStatus();
    double seconds = 0;
    INGOT_RETURN_IF_ERROR(RunCase(k, *backend, timer, options.seconds, seconds));
    ops.push_back(Measured(k, seconds, roofs));
    return absl::OkStatus();
  };
  for (const BenchModel& model : device == Device::kCpu ? CpuModels() : GpuModels()) {
    INGOT_RETURN_IF_ERROR(VisitKernelCases(model, backend.get(), scalar, visit));
  }
  return Json{{"device", backend->name()},
              {"precision", Name(scalar)},
              {"products", device == Device::kCpu ? BlasName() : cuda::GemmLibrary()},
              {"threads", omp_get_max_threads()},
              {"product_gigaflops", roofs.product_flops / 1e9},
              {"copy_gigabytes_per_second", roofs.copy_bytes / 1e9},
              {"ops", ops}};
}

absl::StatusOr<Json> Predict(const Options& options) {
  const DType scalar = PrecisionOf(options.precision, Device::kCuda);
  Json ops = Json::array();
  const auto visit = [&](const KernelCase& k) {
    if (Wanted(options, k)) ops.push_back(Predicted(k, options));
    return absl::OkStatus();
  };
  for (const BenchModel& model : GpuModels()) {
    INGOT_RETURN_IF_ERROR(VisitKernelCases(model, nullptr, scalar, visit));
  }
  return Json{{"precision", Name(scalar)},
              {"note", "predicted from each op's cost, not measured"},
              {"copy_terabytes_per_second", options.copy},
              {"product_teraflops", options.products},
              {"fp8_product_teraflops", options.fp8_products},
              {"attention_teraflops", options.attention},
              {"attention_backward_teraflops", options.attention_backward},
              {"ops", ops}};
}

std::string Cell(const std::string& name, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (absl::StrContains(name, "share")) return absl::StrFormat("%.0f%%", 100 * value.get<double>());
  return value.is_number_float() ? absl::StrFormat("%.*f", value.get<double>() < 100 ? 3 : 1, value.get<double>())
                                 : value.dump();
}

// Facts a line each, then the ops as a markdown table.
void PrintTable(const Json& result) {
  for (const auto& [name, value] : result.items()) {
    if (!value.is_array()) std::printf("%-26s %s\n", name.c_str(), Cell(name, value).c_str());
  }
  const Json& ops = result["ops"];
  if (ops.empty()) return;
  std::string head = "\n|", rule = "|";
  for (const auto& [name, value] : ops[0].items()) {
    head += " " + absl::StrReplaceAll(name, {{"_", " "}}) + " |";
    rule += value.is_string() ? " --- |" : " ---: |";
  }
  std::printf("%s\n%s\n", head.c_str(), rule.c_str());
  for (const Json& row : ops) {
    std::string line = "|";
    for (const auto& [name, value] : row.items()) line += " " + Cell(name, value) + " |";
    std::printf("%s\n", line.c_str());
  }
}

absl::Status Print(const Options& options, const absl::StatusOr<Json>& result) {
  INGOT_RETURN_IF_ERROR(result.status());
  options.json ? void(std::printf("%s\n", result->dump(2).c_str())) : PrintTable(*result);
  return absl::OkStatus();
}

absl::Status RunBench(const Options& options) {
  if (options.predict) return Print(options, Predict(options));
  const Device device = DeviceOf(options.device);
  if (options.check) {
    bool good = true;
    INGOT_RETURN_IF_ERROR(
        Print(options, CheckKernels(PrecisionOf(options.precision, Device::kCuda), options.filter, good)));
    return good ? absl::OkStatus() : absl::InternalError("some ops differ from the CPU's; see \"passed\" above");
  }
  if (device == Device::kCuda && cuda::IsEmulated()) {
    return absl::FailedPreconditionError(
        "the emulator has no speed that means anything on a GPU: --check compares its "
        "results, --predict tells what a GPU could reach, --device cpu measures the CPU");
  }
  return Print(options, Measure(options, device));
}

}  // namespace

void AddBenchKernels(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* const command = bench.add_subcommand(
      "kernels",
      "Every op at the shapes of real models: a 124M and a 10M one on the CPU, the 124M, Qwen2.5's 0.5B and "
      "1.5B on a GPU. The emulator has no speed to tell: --check");
  command->add_flag("--json", options->json, "Print JSON instead of a table");
  command->add_option("--filter", options->filter, "Only ops whose \"model op\" contains this text");
  command->add_option("--seconds", options->seconds, "Measure each op for about this long")
      ->check(CLI::Range(0.001, 60.0))
      ->capture_default_str();
  AddDeviceOption(*command, options->device);
  AddPrecisionOption(*command, options->precision);
  CLI::Option* const checks =
      command->add_flag("--check", options->check,
                        "Measure nothing: run each op on the CUDA device and on the CPU and compare. On the "
                        "emulator at small shapes, on a GPU at real ones with fewer sequences");
  CLI::Option* const predict = command->add_flag(
      "--predict", options->predict, "Measure nothing: bytes, arithmetic and expected time of each op on a GPU of");
  predict->excludes(checks);
  const auto assume = [&](const char* name, double& value, const char* what) {
    command->add_option(name, value, what)->needs(predict)->check(CLI::PositiveNumber)->capture_default_str();
  };
  assume("--assume-copy", options->copy, "this much memory traffic, TB/s");
  assume("--assume-products", options->products, "this speed of matrix products, TFLOP/s");
  assume("--assume-fp8-products", options->fp8_products, "of products of 8-bit operands, TFLOP/s");
  assume("--assume-attention", options->attention, "this speed of attention forward, TFLOP/s of its formula");
  assume("--assume-attention-backward", options->attention_backward, "and backward");
  command->callback([options] { RunCommand([&] { return RunBench(*options); }); });
}

}  // namespace ingot
