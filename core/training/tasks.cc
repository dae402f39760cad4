#include "core/training/tasks.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/evaluate.h"

namespace ingot {
namespace {

absl::StatusOr<ChoiceQuestion> ParseQuestion(absl::string_view line, const std::string& place) {
  INGOT_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJson(line, place));
  const auto wrong = [&place](const char* field, const char* expected) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": \"", field, "\": expected ", expected));
  };
  if (!object.is_object()) return absl::InvalidArgumentError(absl::StrCat(place, ": expected an object"));
  if (!object.contains("query") || !object["query"].is_string()) return wrong("query", "a string");
  if (!object.contains("choices") || !object["choices"].is_array()) return wrong("choices", "an array of strings");
  ChoiceQuestion question;
  question.query = object["query"].get<std::string>();
  for (const nlohmann::json& choice : object["choices"]) {
    if (!choice.is_string() || choice.get<std::string>().empty()) return wrong("choices", "strings that are not empty");
    question.choices.push_back(choice.get<std::string>());
  }
  const int64_t choices = static_cast<int64_t>(question.choices.size());
  if (choices < 2) return wrong("choices", "at least two");
  if (!object.contains("gold") || !object["gold"].is_number_integer()) return wrong("gold", "the index of a choice");
  question.gold = object["gold"].get<int64_t>();
  if (question.gold < 0 || question.gold >= choices) return wrong("gold", "the index of a choice, from 0");
  return question;
}

// One choice of one question, as tokens.
struct Row {
  std::vector<int32_t> ids;  // query and choice, at most T + 1
  size_t scored = 0;         // the last so many are the choice's
};

Row EncodeChoice(Encoder& encoder, const ChoiceQuestion& question, size_t choice, int32_t start, int64_t T) {
  std::string query = question.query, rest = " " + question.choices[choice];
  const size_t kept = query.find_last_not_of(" \t\n\r\v\f") + 1;  // npos + 1 = 0: all of it is space
  rest = query.substr(kept) + rest;
  query.resize(kept);
  std::vector<int32_t> whole, context;
  encoder.Encode(query + rest, whole);
  encoder.Encode(query, context);
  if (query.empty()) {  // something must stand before the first token that is predicted
    whole.insert(whole.begin(), start);
    context.assign(1, start);
  }
  Row row;
  row.scored = whole.size() - std::min(context.size(), whole.size() - 1);
  const size_t length = std::min(whole.size(), static_cast<size_t>(T + 1));
  row.scored = std::min(row.scored, length - 1);
  row.ids.assign(whole.end() - static_cast<std::ptrdiff_t>(length), whole.end());
  return row;
}

void FillRow(const Row& row, int64_t b, TokenBatch& batch) {
  const size_t predicted = row.ids.size() - 1;
  for (size_t t = 0; t < predicted; ++t) {
    const size_t at = b * batch.T + t;
    batch.tokens[at] = row.ids[t];
    if (t + row.scored >= predicted) batch.targets[at] = row.ids[t + 1];
  }
}

// Sum of ln p of each row.
absl::StatusOr<std::vector<double>> Score(Model& model, const std::vector<Row>& rows) {
  const int64_t B = model.shape().B, T = model.shape().T;
  std::vector<double> scores(rows.size(), 0);
  std::vector<float> losses(B * T);
  for (size_t first = 0; first < rows.size(); first += B) {
    TokenBatch batch;
    batch.B = B;
    batch.T = T;
    batch.tokens.assign(B * T, 0);
    batch.targets.assign(B * T, -1);
    batch.positions.assign(B * T, 0);
    for (int64_t i = 0; i < B * T; ++i) batch.positions[i] = static_cast<int32_t>(i % T);
    const size_t count = std::min<size_t>(B, rows.size() - first);
    for (size_t b = 0; b < count; ++b) FillRow(rows[first + b], b, batch);
    INGOT_RETURN_IF_ERROR(model.Evaluate(InputOf(batch, false), losses.data(), nullptr));
    for (size_t b = 0; b < count; ++b) {
      for (int64_t t = 0; t < T; ++t) scores[first + b] -= losses[b * T + t];
    }
  }
  return scores;
}

// Characters, not bytes: those bytes that do not continue one.
double Characters(const std::string& text) {
  return static_cast<double>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// `scores`: one a choice.
void Judge(const ChoiceQuestion& question, const double* scores, TaskResult& result) {
  int64_t best = 0, best_normalised = 0;
  const auto normalised = [&](int64_t c) { return scores[c] / Characters(question.choices[c]); };
  for (int64_t c = 1; c < static_cast<int64_t>(question.choices.size()); ++c) {
    if (scores[c] > scores[best]) best = c;
    if (normalised(c) > normalised(best_normalised)) best_normalised = c;
  }
  ++result.questions;
  result.right += best == question.gold;
  result.right_normalised += best_normalised == question.gold;
}

}  // namespace

absl::StatusOr<std::vector<ChoiceQuestion>> ReadTask(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<ChoiceQuestion> questions;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.find_first_not_of(" \r\t") == absl::string_view::npos) continue;
    INGOT_ASSIGN_OR_RETURN(ChoiceQuestion question, ParseQuestion(line, absl::StrCat(path, ":", number)));
    questions.push_back(std::move(question));
  }
  if (questions.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": expected questions, found none"));
  return questions;
}

absl::StatusOr<TaskResult> RunTask(Model& model, const Tokenizer& tokenizer,
                                   const std::vector<ChoiceQuestion>& questions) {
  Encoder encoder(tokenizer);
  std::vector<Row> rows;
  for (const ChoiceQuestion& question : questions) {
    for (size_t c = 0; c < question.choices.size(); ++c) {
      rows.push_back(EncodeChoice(encoder, question, c, std::max(tokenizer.end_of_text(), 0), model.shape().T));
    }
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<double> scores, Score(model, rows));
  TaskResult result;
  const double* of_question = scores.data();
  for (const ChoiceQuestion& question : questions) {
    Judge(question, of_question, result);
    of_question += question.choices.size();
  }
  return result;
}

}  // namespace ingot
