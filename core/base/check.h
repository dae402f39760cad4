#pragma once
// INGOT_CHECK: what only a programmer can cause. It stops the process with file, line and message. What a user, a disk
// or a network can cause is an absl::Status instead. This header is free of Abseil: CUDA sources include it.

namespace ingot {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const char* format, ...)
    __attribute__((format(printf, 4, 5)));

}  // namespace ingot

#define INGOT_CHECK(condition, ...)                                      \
  do {                                                                   \
    if (!(condition)) [[unlikely]]                                       \
      ::ingot::CheckFailed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
  } while (0)
