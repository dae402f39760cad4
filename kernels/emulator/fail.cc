#include "kernels/emulator/fail.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "kernels/emulator/options.h"
#include "kernels/emulator/thread.h"

namespace ingot::emulator {

void Fail(const char* format, ...) {
  std::fprintf(stderr, "emulator: ");
  if (current_thread != nullptr) {
    const uint3 &block = current_block.index, &thread = current_thread->index;
    std::fprintf(stderr, "block (%u,%u,%u) thread (%u,%u,%u): ", block.x, block.y, block.z, thread.x, thread.y,
                 thread.z);
  }
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  const Options& options = CurrentOptions();
  std::fprintf(stderr, "\n  (schedule %s, copies %s, seed %llu)\n", Name(options.schedule), Name(options.copies),
               static_cast<unsigned long long>(options.seed));
  std::fflush(stderr);
  std::abort();
}

}  // namespace ingot::emulator
