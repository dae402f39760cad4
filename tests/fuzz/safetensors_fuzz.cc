// Any bytes as a safetensors file: refused, or accepted with tensors that cover the data exactly.
#include <cstdint>

#include "core/base/check.h"
#include "core/training/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const absl::string_view file(reinterpret_cast<const char*>(bytes), size);
  const auto header = ingot::ParseSafetensorsHeader(file, "fuzz");
  if (!header.ok()) return 0;
  uint64_t covered = 0;
  for (const auto& item : header->tensors) {
    INGOT_CHECK(item.second.begin <= item.second.end, "tensor %s ends before it begins", item.first.c_str());
    covered += item.second.end - item.second.begin;
  }
  INGOT_CHECK(header->data_start + covered == size, "a file of %zu bytes is covered wrongly", size);
  return 0;
}
