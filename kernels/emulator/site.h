#pragma once
// Where in the source a call stands, taken as a default argument: void Barrier(Site site = Site::Current()).
#include <cstdint>
#include <source_location>

// The column tells two barriers on one line apart. g++ knows it by std::source_location alone, clang 14 not at all there.
#ifdef __clang__
#define INGOT_EMULATOR_COLUMN __builtin_COLUMN()
#else
#define INGOT_EMULATOR_COLUMN std::source_location::current().column()
#endif

namespace ingot::emulator {

struct Site {
  const char* file = "";
  uint32_t line = 0;
  uint32_t column = 0;

  static constexpr Site Current(const char* file = __builtin_FILE(), uint32_t line = __builtin_LINE(),
                                uint32_t column = INGOT_EMULATOR_COLUMN) {
    return {file, line, column};
  }
  // By value: the same text may lie at several addresses.
  bool operator==(const Site& other) const {
    if (line != other.line || column != other.column) return false;
    const char *a = file, *b = other.file;
    if (a == b) return true;
    while (*a != '\0' && *a == *b) ++a, ++b;
    return *a == *b;
  }
};

}  // namespace ingot::emulator

// The last parameter of every function whose errors name the caller's line.
#define INGOT_SITE ::ingot::emulator::Site site = ::ingot::emulator::Site::Current()
