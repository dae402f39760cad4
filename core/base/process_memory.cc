#include "core/base/process_memory.h"

#include <fstream>
#include <string>

namespace ingot {
namespace {

// The field `name` of /proc/self/status, given there in KiB; 0 where there is none.
int64_t StatusField(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

}  // namespace

int64_t ResidentBytes() { return StatusField("VmRSS"); }

int64_t PeakResidentBytes() { return StatusField("VmHWM"); }

}  // namespace ingot
