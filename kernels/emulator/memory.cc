#include "kernels/emulator/memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

#include "core/base/check.h"
#include "kernels/emulator/fail.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/sanitizer.h"
#include "kernels/emulator/thread.h"

namespace ingot::emulator {
namespace {

constexpr size_t kAlignment = 1024;
constexpr size_t kRedZone = 1024;  // before and behind
constexpr unsigned char kRedZoneByte = 0xA5;

struct Allocation {
  Space space;
  std::string what;
  size_t bytes;
  unsigned char* base;  // of the red zone before it
};

std::map<const void*, Allocation>& Allocations() {
  static auto& allocations = *new std::map<const void*, Allocation>;
  return allocations;
}

const char* Name(Space space) { return space == Space::kDevice ? "device" : "shared"; }

void CheckZone(const Allocation& allocation, const unsigned char* zone, size_t bytes, bool behind) {
  for (size_t i = 0; i < bytes; ++i) {
    if (zone[i] == kRedZoneByte) continue;
    const size_t distance = behind ? i : bytes - i;
    Fail("%s memory '%s' of %zu bytes: a byte was written %zu bytes %s it", Name(allocation.space),
         allocation.what.c_str(), allocation.bytes, distance, behind ? "behind the end of" : "before the start of");
  }
}

const Allocation& Find(const void* memory) {
  const auto found = Allocations().find(memory);
  if (found == Allocations().end()) Fail("%p is not an allocation of the emulated device", memory);
  return found->second;
}

}  // namespace

void* AllocateMemory(Space space, const std::string& what, size_t bytes) {
  const size_t padded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  auto* const base = static_cast<unsigned char*>(std::aligned_alloc(kAlignment, kRedZone + padded + kRedZone));
  INGOT_CHECK(base != nullptr, "no memory for %zu bytes of '%s'", bytes, what.c_str());
  unsigned char* const memory = base + kRedZone;
  std::memset(base, kRedZoneByte, kRedZone);
  std::memset(memory, 0xFF, bytes);
  std::memset(memory + bytes, kRedZoneByte, padded - bytes + kRedZone);
  PoisonMemory(base, kRedZone);
  PoisonMemory(memory + bytes, padded - bytes + kRedZone);
  race::AddMemory(memory, bytes, space == Space::kShared, what);
  Allocations()[memory] = {space, what, bytes, base};
  return memory;
}

void CheckRedZones(const void* memory) {
  const Allocation& allocation = Find(memory);
  if (kPoisons) return;  // AddressSanitizer has stopped the write itself
  const unsigned char* const start = allocation.base + kRedZone;
  CheckZone(allocation, allocation.base, kRedZone, false);
  CheckZone(allocation, start + allocation.bytes, kRedZone, true);
}

void RefillMemory(void* memory) {
  CheckRedZones(memory);
  std::memset(memory, 0xFF, Find(memory).bytes);
}

void FreeMemory(void* memory) {
  CheckRedZones(memory);
  race::RemoveMemory(memory);
  unsigned char* const base = Find(memory).base;
  const size_t padded = (Find(memory).bytes + kAlignment - 1) / kAlignment * kAlignment;
  UnpoisonMemory(base, kRedZone + padded + kRedZone);
  Allocations().erase(memory);
  std::free(base);
}

void CheckShared(const void* address, size_t bytes, size_t alignment, const char* what, const char* file,
                 unsigned line) {
  const auto* const byte = static_cast<const unsigned char*>(address);
  const unsigned char* const begin = current_block.shared;
  if (byte < begin || byte + bytes > begin + current_block.shared_bytes) {
    Fail("%s at %s:%u: %zu bytes at %p are not in the block's shared memory of %zu bytes", what, file, line, bytes,
         address, current_block.shared_bytes);
  }
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0) {
    Fail("%s at %s:%u: the address in shared memory (offset %zu) is not %zu-byte aligned", what, file, line,
         static_cast<size_t>(byte - begin), alignment);
  }
}

}  // namespace ingot::emulator
