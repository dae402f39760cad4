#pragma once
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace ingot {

// `status` with `context` in front of its message, same code: Annotate(s, "shard 3: ").
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(context, status.message()));
}

}  // namespace ingot

#define INGOT_RETURN_IF_ERROR(expr)                                                  \
  do {                                                                               \
    if (absl::Status ingot_status = (expr); !ingot_status.ok()) return ingot_status; \
  } while (0)

#define INGOT_CONCAT_(a, b) a##b
#define INGOT_CONCAT(a, b) INGOT_CONCAT_(a, b)
#define INGOT_ASSIGN_OR_RETURN(lhs, expr) INGOT_ASSIGN_OR_RETURN_(INGOT_CONCAT(ingot_or_, __LINE__), lhs, expr)
#define INGOT_ASSIGN_OR_RETURN_(tmp, lhs, expr)  \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)
