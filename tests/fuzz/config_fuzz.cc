// Any text as a configuration: it is refused with problems, or it is valid and its resolved text reads back as itself.
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/training/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  std::vector<std::string> problems;
  ingot::RunConfig config = ingot::ParseConfig(text, "fuzz", problems);
  ingot::ApplySetting(config, text.substr(0, text.find('\n'))).IgnoreError();  // a first line may be a setting
  if (!problems.empty() || !ingot::ConfigProblems(config).empty()) return 0;
  const std::string resolved = ingot::ConfigText(config);
  const ingot::RunConfig back = ingot::ParseConfig(resolved, "resolved", problems);
  INGOT_CHECK(problems.empty(), "the resolved text does not parse: %s", problems.front().c_str());
  INGOT_CHECK(ingot::ConfigText(back) == resolved, "the resolved text changes when read back");
  return 0;
}
