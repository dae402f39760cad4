#include "core/training/state_file.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kMaxStateBytes = 100'000'000;
constexpr size_t kMaxEvents = 2000;  // of one kind: at most 1,000 are ever counted

class StateReader {
 public:
  StateReader(const json& value, std::string place) : value_(value), place_(std::move(place)) {}

  absl::Status Count(const char* name, int64_t& count) const {
    const json field = Field(name);
    if (!field.is_number_unsigned()) return Refused(name, "an integer of at least 0");
    count = field.get<int64_t>();
    return absl::OkStatus();
  }
  absl::Status Text(const char* name, std::string& text) const {
    const json field = Field(name);
    if (!field.is_string()) return Refused(name, "text");
    text = field.get<std::string>();
    return absl::OkStatus();
  }
  absl::Status Hexadecimal(const char* name, uint64_t& number) const {
    const json field = Field(name);
    if (field.is_string() && absl::SimpleHexAtoi(field.get<std::string>(), &number)) return absl::OkStatus();
    return Refused(name, "hexadecimal digits");
  }
  absl::Status Numbers(const char* name, std::vector<double>& numbers) const {
    const json field = Field(name);
    const std::string expected = absl::StrCat("at most ", SpikeMemory::kWindow, " numbers");
    if (!field.is_array() || field.size() > SpikeMemory::kWindow) return Refused(name, expected);
    for (const json& number : field) {
      if (!number.is_number()) return Refused(name, expected);
      numbers.push_back(number.get<double>());
    }
    return absl::OkStatus();
  }
  absl::Status Counts(const char* name, std::vector<int64_t>& counts) const {
    const json field = Field(name);
    const std::string expected = absl::StrCat("at most ", kMaxEvents, " integers of at least 0");
    if (!field.is_array() || field.size() > kMaxEvents) return Refused(name, expected);
    for (const json& count : field) {
      if (!count.is_number_unsigned()) return Refused(name, expected);
      counts.push_back(count.get<int64_t>());
    }
    return absl::OkStatus();
  }

 private:
  json Field(const char* name) const { return value_.is_object() ? value_.value(name, json()) : json(); }
  absl::Status Refused(const char* name, const std::string& expected) const {
    return absl::InvalidArgumentError(absl::StrCat(place_, name, ": expected ", expected));
  }
  const json& value_;
  std::string place_;
};

ordered_json SpikesJson(const SpikeMemory& spikes) {
  return {{"losses", spikes.losses},
          {"log_norms", spikes.log_norms},
          {"suspects", spikes.suspects},
          {"skips", spikes.skips},
          {"rollbacks", spikes.rollbacks}};
}

ordered_json MarksJson(const std::vector<StreamMark>& marks) {
  ordered_json list = ordered_json::array();
  for (const StreamMark& mark : marks) {
    list.push_back({{"tokens", mark.tokens}, {"hash", absl::StrFormat("%016x", mark.hash)}});
  }
  return list;
}

absl::Status ReadMarks(const json& value, const std::string& path, std::vector<StreamMark>& marks) {
  if (!value.is_array() || value.size() > kMaxEvents) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": raw_documents: expected an array, one element a source"));
  }
  for (const json& element : value) {
    const StateReader reader(element, path + ": raw_documents.");
    StreamMark& mark = marks.emplace_back();
    INGOT_RETURN_IF_ERROR(reader.Count("tokens", mark.tokens));
    INGOT_RETURN_IF_ERROR(reader.Hexadecimal("hash", mark.hash));
  }
  return absl::OkStatus();
}

absl::Status ReadSpikes(const json& value, const std::string& path, SpikeMemory& spikes) {
  const StateReader reader(value, path + ": spikes.");
  INGOT_RETURN_IF_ERROR(reader.Numbers("losses", spikes.losses));
  INGOT_RETURN_IF_ERROR(reader.Numbers("log_norms", spikes.log_norms));
  INGOT_RETURN_IF_ERROR(reader.Count("suspects", spikes.suspects));
  INGOT_RETURN_IF_ERROR(reader.Counts("skips", spikes.skips));
  return reader.Counts("rollbacks", spikes.rollbacks);
}

}  // namespace

// 64-bit numbers beyond 2^53 do not survive other JSON readers, so the fingerprint is text. Doubles are written with as
// many digits as bring the same bits back.
std::string StateText(const TrainingState& state) {
  ordered_json value = {{"step", state.step},
                        {"updates", state.updates},
                        {"next_sequence", state.next_sequence},
                        {"tokens", state.tokens},
                        {"dataset_fingerprint", absl::StrFormat("%016x", state.dataset_fingerprint)},
                        {"ranks", 1},
                        {"config", state.config},
                        {"environment", state.environment},
                        {"spikes", SpikesJson(state.spikes)}};
  if (!state.raw_documents.empty()) value["raw_documents"] = MarksJson(state.raw_documents);
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

absl::StatusOr<TrainingState> ReadStateFile(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxStateBytes));
  INGOT_ASSIGN_OR_RETURN(const json value, ParseJson(text, path));
  const StateReader reader(value, path + ": ");
  TrainingState state;
  INGOT_RETURN_IF_ERROR(reader.Count("step", state.step));
  INGOT_RETURN_IF_ERROR(reader.Count("next_sequence", state.next_sequence));
  INGOT_RETURN_IF_ERROR(reader.Count("tokens", state.tokens));
  INGOT_RETURN_IF_ERROR(reader.Text("config", state.config));
  INGOT_RETURN_IF_ERROR(reader.Text("environment", state.environment));
  INGOT_RETURN_IF_ERROR(reader.Hexadecimal("dataset_fingerprint", state.dataset_fingerprint));
  state.updates = state.step;
  if (value.contains("updates")) INGOT_RETURN_IF_ERROR(reader.Count("updates", state.updates));
  if (value.contains("spikes")) INGOT_RETURN_IF_ERROR(ReadSpikes(value["spikes"], path, state.spikes));
  if (value.contains("raw_documents")) {
    INGOT_RETURN_IF_ERROR(ReadMarks(value["raw_documents"], path, state.raw_documents));
  }
  return state;
}

}  // namespace ingot
