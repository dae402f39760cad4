#pragma once

namespace ingot::emulator {

// An error of a kernel: prints block, thread and the message, and aborts.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace ingot::emulator
