// ingot info: what this machine and this build offer.
#include <google/protobuf/stubs/common.h>
#include <omp.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/threads.h"
#include "distributed/nccl_communicator.h"
#include "kernels/cpu/blas.h"
#include "kernels/cuda/devices.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

int64_t MemoryBytes() { return int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE); }

nlohmann::ordered_json GpusAsJson(const GpuReport& report) {
  auto gpus = nlohmann::ordered_json::array();
  for (const GpuInfo& gpu : report.gpus) {
    gpus.push_back({{"name", gpu.name},
                    {"memory_bytes", gpu.memory_bytes},
                    {"compute_capability", gpu.compute_capability},
                    {"multiprocessors", gpu.multiprocessors}});
  }
  return gpus;
}

nlohmann::ordered_json Describe() {
  const GpuReport gpus = ListGpus();
  const absl::StatusOr<std::string> nccl = NcclName();
  std::string blas_problem;
  const bool blas_is_right = BlasIsRight(&blas_problem);
  return {{"version", INGOT_VERSION},
          {"compiler", __VERSION__},
          {"cpu", ProcessorName()},
          {"processors", AvailableProcessors()},
          {"openmp_threads", omp_get_max_threads()},
          {"memory_bytes", MemoryBytes()},
          {"blas", BlasName()},
          {"blas_check", blas_is_right ? "right" : blas_problem},
          {"cuda", gpus.runtime},
          {"gpus", GpusAsJson(gpus)},
          {"cuda_products", cuda::GemmLibrary()},
          {"nccl", nccl.ok() ? *nccl : std::string(nccl.status().message())},
          {"emulator", cuda::IsEmulated() ? "runs the CUDA kernels of this build" : "not in this build"},
          {"default_device", "cpu"},
          {"protobuf", google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION)},
          {"zlib", zlibVersion()},
          {"zstd", ZSTD_versionString()}};
}

absl::Status Info(bool json) {
  const nlohmann::ordered_json facts = Describe();
  if (json) {
    std::printf("%s\n", facts.dump(2).c_str());
    return absl::OkStatus();
  }
  for (const auto& [name, value] : facts.items()) {
    std::printf("%-20s %s\n", name.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddInfoCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("info", "Shows devices, build features and library versions");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print one JSON object");
  command->callback([json] { RunCommand([&] { return Info(*json); }); });
}

}  // namespace ingot
