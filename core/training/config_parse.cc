// Reading a RunConfig from text: parse errors with their place, settings, and the field that was perhaps meant.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/training/config.h"

namespace ingot {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

constexpr int kMaxProblems = 50;  // of one file; a file of another kind has an error on every line

// Levenshtein's distance: insertions, deletions and replacements that turn `a` into `b`.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string NearName(const Descriptor& message, const std::string& name) {
  std::string near;
  size_t best = name.size() / 2 + 1;  // further away than this is no misspelling
  for (int i = 0; i < message.field_count(); ++i) {
    const size_t distance = EditDistance(name, message.field(i)->name());
    if (distance < best) {
      best = distance;
      near = message.field(i)->name();
    }
  }
  return near;
}

std::string UnknownField(const Descriptor& message, const std::string& name) {
  const std::string near = NearName(message, name);
  if (!near.empty()) return absl::StrCat("there is no field \"", name, "\"; did you mean \"", near, "\"?");
  std::vector<std::string> names;
  for (int i = 0; i < message.field_count(); ++i) names.push_back(message.field(i)->name());
  return absl::StrCat("there is no field \"", name, "\"; expected one of ", absl::StrJoin(names, ", "));
}

std::string ExpectedValue(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::vector<std::string> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i) names.push_back(field.enum_type()->value(i)->name());
      return absl::StrCat("one of ", absl::StrJoin(names, ", "));
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return "a string";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "an element of the list in braces, {field: value …}";
    default:
      return "an integer";
  }
}

// Protobuf says: Message type "ingot.ModelConfig" has no field named "layer".
//            or: Unknown enumeration value of "bert" for field "architecture".
std::string InOurWords(const std::string& message) {
  const std::vector<std::string> parts = absl::StrSplit(message, '"');
  if (parts.size() != 5) return message;
  const google::protobuf::FileDescriptor* schema = RunConfig::descriptor()->file();
  if (absl::StrContains(parts[2], "has no field named")) {
    const Descriptor* type = schema->pool()->FindMessageTypeByName(parts[1]);
    return type == nullptr ? message : UnknownField(*type, parts[3]);
  }
  for (int i = 0; i < schema->message_type_count(); ++i) {
    const FieldDescriptor* field = schema->message_type(i)->FindFieldByName(parts[3]);
    if (field == nullptr || field->enum_type() == nullptr) continue;
    return absl::StrCat("expected ", ExpectedValue(*field), ", found ", parts[1]);
  }
  return message;
}

// Lines and columns count from 0.
struct Collector : google::protobuf::io::ErrorCollector {
  Collector(const std::string& file, std::vector<std::string>& list) : name(file), problems(list) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (absl::StartsWith(message, "Unknown enumeration value")) FindBack(message, line, column);
    error_line = line;
    // After a parse goes on, what stands before is told again.
    if (!seen.insert({line, column}).second) return;
    problems.push_back(absl::StrCat(name, ":", line + 1, ":", column + 1, ": ", InOurWords(message)));
  }
  void AddWarning(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    const int kept = error_line;
    AddError(line, column, message);
    error_line = kept;
  }
  // The parser notices an unknown enum value after it has gone on to the next token: goes back to the value.
  void FindBack(const std::string& message, int& line, int& column) const {
    const std::vector<std::string> parts = absl::StrSplit(message, '"');
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    for (int at = std::min(line, static_cast<int>(lines.size()) - 1); parts.size() > 1 && at >= 0; --at) {
      const size_t before = at == line && column > 0 ? static_cast<size_t>(column - 1) : std::string::npos;
      const size_t found = column == 0 && at == line ? std::string::npos : lines[at].rfind(parts[1], before);
      if (found == std::string::npos) continue;
      line = at;
      column = static_cast<int>(found);
      return;
    }
  }
  std::string name;
  std::string text;  // what is being parsed
  std::vector<std::string>& problems;
  std::set<std::pair<int, int>> seen;
  int error_line = -1;
};

// Blanks a line; false if there is nothing left on it to blank.
bool BlankLine(std::string& text, int line) {
  size_t begin = 0;
  for (int i = 0; i < line && begin != std::string::npos; ++i) {
    begin = text.find('\n', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (begin == std::string::npos || begin >= text.size()) return false;
  const size_t end = std::min(text.find('\n', begin), text.size());
  bool blanked = false;
  for (size_t i = begin; i < end; ++i) blanked |= std::exchange(text[i], ' ') != ' ';
  return blanked;
}

// The parser stops at the first value it cannot read. To name all problems at once the line is blanked and the text
// parsed again; unknown fields are only warnings to the parser and do not stop it.
void ParseAll(std::string text, RunConfig& config, Collector& collector) {
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.AllowUnknownField(true);
  parser.SetRecursionLimit(32);
  do {
    collector.text = text;
    collector.error_line = -1;
    if (parser.ParseFromString(text, &config) || collector.problems.size() >= kMaxProblems) return;
  } while (collector.error_line >= 0 && BlankLine(text, collector.error_line));
}

}  // namespace

RunConfig ParseConfig(const std::string& text, const std::string& name, std::vector<std::string>& problems) {
  RunConfig config;
  Collector collector(name, problems);
  ParseAll(text, config, collector);
  return config;
}

absl::Status ApplySetting(RunConfig& config, const std::string& setting) {
  const std::string place = absl::StrCat("--set ", setting, ": ");
  const size_t equals = setting.find('=');
  if (equals == std::string::npos) return absl::InvalidArgumentError(place + "expected path.to.field=value");
  const std::vector<std::string> path = absl::StrSplit(setting.substr(0, equals), '.');
  std::string value = setting.substr(equals + 1);
  Message* message = &config;
  for (size_t i = 0; i < path.size(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(path[i]);
    if (field == nullptr) return absl::InvalidArgumentError(place + UnknownField(*message->GetDescriptor(), path[i]));
    // A list takes one more element: data.source={path:"a"}; a group may be given as a whole: data.raw={input:"a"}.
    const bool whole = i + 1 == path.size() && absl::StartsWith(value, "{");
    const bool inner = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated() && !whole;
    if (inner != (i + 1 < path.size())) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, "\"", path[i], "\" ", inner ? "is a group of fields: name one of them" : "has no fields"));
    }
    if (inner) {
      message = message->GetReflection()->MutableMessage(message, field);
      continue;
    }
    const bool quoted = !value.empty() && (value[0] == '"' || value[0] == '\'');
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !quoted) {
      value = absl::StrCat("\"", absl::CEscape(value), "\"");
    }
    TextFormat::Parser parser;
    std::vector<std::string> ignored;  // the parser's words name neither field nor value
    Collector collector("", ignored);
    parser.RecordErrorsTo(&collector);
    if (parser.ParseFieldValueFromString(value, field, message)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(place, "expected ", ExpectedValue(*field), ", found ", setting.substr(equals + 1)));
  }
  return absl::OkStatus();
}

}  // namespace ingot
