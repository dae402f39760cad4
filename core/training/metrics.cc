#include "core/training/metrics.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/append_whole.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{4} << 30;  // about 20 million steps

// The whole lines of `text` whose step is at most `step`.
std::string LinesUpTo(const std::string& text, int64_t step) {
  std::string kept;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const auto object = ParseJson(line, "metrics.jsonl");
    if (!object.ok() || !object->is_object() || !object->contains("step")) continue;
    const nlohmann::json& at = (*object)["step"];
    if (at.is_number_integer() && at.get<int64_t>() <= step) absl::StrAppend(&kept, line, "\n");
  }
  return kept;
}

}  // namespace

absl::StatusOr<MetricsLog> MetricsLog::Open(const std::string& run_directory, int64_t step) {
  const std::string path = JoinPath(run_directory, "metrics.jsonl");
  if (FileExists(path)) {
    INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
    const std::string kept = LinesUpTo(text, step);
    if (kept != text) INGOT_RETURN_IF_ERROR(WriteFileAtomically(path, kept));
  }
  std::FILE* lines = std::fopen(path.c_str(), "ab");
  if (lines == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot open for writing"));
  std::unique_ptr<std::FILE, Closer> closer(lines);
  INGOT_ASSIGN_OR_RETURN(EventWriter events, EventWriter::Create(run_directory, step + 1));
  return MetricsLog(closer.release(), path, std::move(events));
}

absl::Status MetricsLog::WriteLine(std::string line) {
  line += '\n';
  return AppendWhole(lines_.get(), line, path_);
}

absl::Status MetricsLog::Record(const TrainingRecord& record) {
  const nlohmann::ordered_json line = {{"step", record.step},
                                       {"tokens", record.tokens},
                                       {"loss", record.loss},
                                       {"lr", record.learning_rate},
                                       {"grad_norm", record.gradient_norm},
                                       {"tokens_per_second", record.tokens_per_second},
                                       {"mfu", record.mfu},
                                       {"seconds", record.seconds},
                                       {"data_wait_seconds", record.data_wait_seconds},
                                       {"data_wait_share", record.data_wait_share()},
                                       {"save_stall_seconds", record.save_stall_seconds}};
  INGOT_RETURN_IF_ERROR(WriteLine(line.dump()));
  return events_.Write(record.step, {{"train/loss", record.loss},
                                     {"train/lr", record.learning_rate},
                                     {"train/grad_norm", record.gradient_norm},
                                     {"speed/tokens_per_second", record.tokens_per_second},
                                     {"speed/mfu", record.mfu},
                                     {"speed/data_wait_share", record.data_wait_share()}});
}

absl::Status MetricsLog::Record(const ValidationRecord& record) {
  const nlohmann::ordered_json line = {{"step", record.step},
                                       {"val_loss", record.loss},
                                       {"val_bits_per_byte", record.bits_per_byte},
                                       {"val_targets", record.targets},
                                       {"val_seconds", record.seconds}};
  INGOT_RETURN_IF_ERROR(WriteLine(line.dump()));
  return events_.Write(record.step, {{"val/loss", record.loss}, {"val/bits_per_byte", record.bits_per_byte}});
}

absl::Status MetricsLog::Record(const EventRecord& record) {
  const nlohmann::ordered_json line = {{"step", record.step}, {"event", record.event}, {"reason", record.reason}};
  return WriteLine(line.dump());
}

}  // namespace ingot
