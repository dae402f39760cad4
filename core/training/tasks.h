#pragma once
// Multiple-choice tasks scored as the EleutherAI harness does (docs: lm-evaluation-harness, "multiple_choice").
// One JSON object a line: {"query": "…", "choices": ["…", …], "gold": index}.
//   score(choice) = sum of ln p over the tokens of " " + choice after the query
//   acc           share of lines whose best score is the gold choice's; the first wins a tie
//   acc_norm      the same with score(choice) / characters of the choice
// Spaces that end a query move to the choice. Query and choice are encoded together and the query alone; the choice's
// tokens are those beyond the length of the latter. A query too long for the context loses its beginning.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

struct ChoiceQuestion {
  std::string query;
  std::vector<std::string> choices;
  int64_t gold = 0;
};

struct TaskResult {
  int64_t questions = 0;
  int64_t right = 0;             // by score
  int64_t right_normalised = 0;  // by score / characters
  double acc() const { return static_cast<double>(right) / static_cast<double>(questions); }
  double acc_norm() const { return static_cast<double>(right_normalised) / static_cast<double>(questions); }
};

// Errors name the line and the field.
absl::StatusOr<std::vector<ChoiceQuestion>> ReadTask(const std::string& path);

// Scores every choice in batches of the model's B and windows of its T.
absl::StatusOr<TaskResult> RunTask(Model& model, const Tokenizer& tokenizer,
                                   const std::vector<ChoiceQuestion>& questions);

}  // namespace ingot
