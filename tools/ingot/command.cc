#include "tools/ingot/command.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "distributed/exit_codes.h"

namespace ingot {

void RunCommand(const std::function<absl::Status()>& work) {
  const absl::Status status = work();
  if (status.ok()) return;
  std::fflush(stdout);
  std::fprintf(stderr, "ingot: error: %s\n", std::string(status.message()).c_str());
  std::exit(ExitCodeOf(status));
}

}  // namespace ingot
