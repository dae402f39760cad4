#pragma once
// Marks memory as forbidden where AddressSanitizer is built in; elsewhere nothing happens.
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define INGOT_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define INGOT_EMULATOR_ASAN 1
#endif
#endif
#ifdef INGOT_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace ingot::emulator {

#ifdef INGOT_EMULATOR_ASAN
inline constexpr bool kPoisons = true;
inline void PoisonMemory(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void UnpoisonMemory(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
inline constexpr bool kPoisons = false;
inline void PoisonMemory(const void*, size_t) {}
inline void UnpoisonMemory(const void*, size_t) {}
#endif

}  // namespace ingot::emulator
