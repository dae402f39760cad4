#include "kernels/emulator/options.h"

#include <array>
#include <cstdlib>
#include <string>

#include "core/base/check.h"

namespace ingot::emulator {
namespace {

constexpr std::array kScheduleNames{"forward", "reverse", "random", "pct"};
constexpr std::array kCopiesNames{"early", "late", "random"};
constexpr std::array kCapabilityNames{"8.0", "9.0"};
constexpr std::array kCapabilities{80, 90};

// The place of the variable's value in `names`, or `otherwise` where the variable is not set.
template <size_t N>
int FromEnvironment(const char* variable, const std::array<const char*, N>& names, int otherwise) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return otherwise;
  std::string all;
  for (size_t i = 0; i < N; ++i) {
    if (std::string(value) == names[i]) return static_cast<int>(i);
    all += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  INGOT_CHECK(false, "%s is '%s'; it must be one of: %s", variable, value, all.c_str());
}

Options FromEnvironment() {
  Options options;
  options.schedule = static_cast<Schedule>(
      FromEnvironment("INGOT_EMULATOR_SCHEDULE", kScheduleNames, static_cast<int>(options.schedule)));
  options.copies =
      static_cast<Copies>(FromEnvironment("INGOT_EMULATOR_COPIES", kCopiesNames, static_cast<int>(options.copies)));
  if (const char* const seed = std::getenv("INGOT_EMULATOR_SEED"); seed != nullptr && *seed != '\0') {
    char* end = nullptr;
    options.seed = std::strtoull(seed, &end, 10);
    INGOT_CHECK(*end == '\0', "INGOT_EMULATOR_SEED is '%s'; it must be a whole number", seed);
  }
  return options;
}

Options& Mutable() {
  static Options options = FromEnvironment();
  return options;
}

int& MutableCapability() {
  static int capability = kCapabilities[FromEnvironment("INGOT_EMULATOR_CAPABILITY", kCapabilityNames, 0)];
  return capability;
}

}  // namespace

int Capability() { return MutableCapability(); }
void SetCapability(int capability) {
  INGOT_CHECK(capability == 80 || capability == 90, "an emulated device of compute capability %d; 80 or 90",
              capability);
  MutableCapability() = capability;
}

const Options& CurrentOptions() { return Mutable(); }
void SetOptions(const Options& options) { Mutable() = options; }

const char* Name(Schedule schedule) { return kScheduleNames[static_cast<size_t>(schedule)]; }
const char* Name(Copies copies) { return kCopiesNames[static_cast<size_t>(copies)]; }

Counters& CurrentCounters() {
  static Counters counters;
  return counters;
}

}  // namespace ingot::emulator
