// Training on CUDA's kernels (the emulator where there is no GPU) beside training on the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/training/run_metrics.h"
#include "tests/core/training/tiny_run.h"
#include "tests/kernels/device_sm90.h"

namespace ingot {
namespace {

class CudaTrainerTest : public TinyRun {
 protected:
  // Losses of 20 steps of a model whose heads are as wide as the tensor-core kernels take them.
  std::vector<double> Losses(const std::string& run, std::vector<std::string> settings, Device device) {
    for (const char* shape : {"model.layers=1", "model.channels=64", "model.heads=1", "model.feed_forward=96"}) {
      settings.emplace_back(shape);
    }
    const absl::Status status = Train(run, settings, device);
    EXPECT_TRUE(status.ok()) << status;
    return MetricsOf(directory_ / (run + "/metrics.jsonl"), "loss");
  }
};

// The mean distance of two curves, as a share of the mean loss.
double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::fabs(a[i] - b[i]);
    sum += a[i];
  }
  return difference / sum;
}

TEST_F(CudaTrainerTest, LossCurvesFollowTheCpus) {
  for (const std::string architecture : {"llama", "gpt2"}) {
    const std::string setting = "model.architecture=" + architecture;
    const auto cpu = Losses("cpu-" + architecture, {"training.steps=20", setting}, Device::kCpu);
    const auto bf16 = Losses("bf16-" + architecture, {"training.steps=20", setting}, Device::kCuda);
    const auto fp32 =
        Losses("fp32-" + architecture, {"training.steps=20", setting, "precision.compute=fp32"}, Device::kCuda);
    ASSERT_EQ(cpu.size(), 20u);
    EXPECT_LT(cpu.back(), 0.8 * cpu.front());
    // Some 18 tensors of a forward are rounded by 2^-9 of their size on average; each step starts from weights that such
    // errors have moved, so the errors of 20 steps add up.
    EXPECT_LT(Distance(cpu, bf16), 0x1p-9 * std::sqrt(18.0 * 20));
    EXPECT_LT(Distance(cpu, fp32), 0x1p-24 * std::sqrt(18.0 * 20) * 64);
  }
}

TEST_F(CudaTrainerTest, ResumedRunIsBitEqualToOneThatNeverStopped) {
  Losses("whole", {"training.steps=6"}, Device::kCuda);
  const std::vector<float> whole = Weights();
  Losses("parts", {"training.steps=3"}, Device::kCuda);
  EXPECT_NE(Weights(), whole);
  Losses("parts", {"training.steps=6"}, Device::kCuda);
  EXPECT_EQ(Weights(), whole);
}

// A step's gradient is off by some 0.0236 * sqrt(24) of itself for each layer (cuda_model_test.cc), at random; so is what it
// takes off the loss. The curves fall by less than the mean loss.
TEST_F(CudaTrainerTest, EightBitProductsFollowTheCpuAndResume) {
  for (const std::string architecture : {"llama", "gpt2"}) {
    const std::string model = "model.architecture=" + architecture;
    const auto cpu = Losses("cpu-" + architecture, {"training.steps=20", model}, Device::kCpu);
    std::vector<std::string> fp8 = {model, "precision.compute=fp8", "training.steps=20"};
    if (architecture == "llama") fp8.insert(fp8.end(), {"precision.fp8_head=true", "precision.fp8_gradients=e5m2"});
    EXPECT_LT(Distance(cpu, Losses("fp8-" + architecture, fp8, Device::kCuda)), 0.0236 * std::sqrt(24.0));
    const std::vector<float> weights = Weights();
    std::vector<std::string> half = fp8;
    half.emplace_back("training.steps=10");
    Losses("parts-" + architecture, half, Device::kCuda);
    EXPECT_NE(Weights(), weights);
    Losses("parts-" + architecture, fp8, Device::kCuda);
    EXPECT_EQ(Weights(), weights) << architecture;
  }
}

// On a device of compute capability 9.0: attention, products and the product with SwiGLU by the kernels for it.
TEST_F(CudaTrainerTest, KernelsForSm90FollowTheCpuAndResume) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const auto cpu = Losses("cpu", {"training.steps=20"}, Device::kCpu);
  const OnSm90 device;
  const auto whole = Losses("whole", {"training.steps=20"}, Device::kCuda);
  EXPECT_LT(Distance(cpu, whole), 0x1p-9 * std::sqrt(18.0 * 20));
  const std::vector<float> weights = Weights();
  Losses("parts", {"training.steps=10"}, Device::kCuda);
  EXPECT_NE(Weights(), weights);
  Losses("parts", {"training.steps=20"}, Device::kCuda);
  EXPECT_EQ(Weights(), weights);
}

TEST_F(CudaTrainerTest, AGraphChangesNoBitAndIsRefusedOnTheCpu) {
  Losses("plain", {"training.steps=3"}, Device::kCuda);
  const std::vector<float> weights = Weights();
  Losses("graph", {"training.steps=3", "training.cuda_graph=true"}, Device::kCuda);
  EXPECT_EQ(Weights(), weights);
  const absl::Status status = Train("cpu", {"training.steps=1", "training.cuda_graph=true"}, Device::kCpu);
  EXPECT_NE(std::string(status.message()).find("training.cuda_graph: expected false"), std::string::npos) << status;
}

TEST_F(CudaTrainerTest, AnotherPrecisionIsAnotherRun) {
  Losses("run", {"training.steps=1"}, Device::kCuda);
  const absl::Status status = Train("run", {"training.steps=2", "precision.compute=fp32"}, Device::kCuda);
  EXPECT_NE(std::string(status.message()).find("precision.compute"), std::string::npos) << status;
}

}  // namespace
}  // namespace ingot
