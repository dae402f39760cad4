#include "data_pipeline/story_grammar.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/base/philox.h"

namespace ingot {

StoryGrammar::StoryGrammar(const char* text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view rule = absl::StripAsciiWhitespace(line);
    if (!rule.empty() && rule[0] != '#') ParseRule(std::string(rule));
  }
  for (const Rule& rule : rules_) INGOT_CHECK(rule.total_weight > 0, "rule %s is not defined", rule.name.c_str());
}

int StoryGrammar::RuleNamed(const std::string& name) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].name == name) return static_cast<int>(i);
  }
  rules_.push_back({.name = name, .alternatives = {}});
  return static_cast<int>(rules_.size()) - 1;
}

int StoryGrammar::RegisterNamed(const std::string& name) {
  const auto found = std::find(registers_.begin(), registers_.end(), name);
  if (found != registers_.end()) return static_cast<int>(found - registers_.begin());
  INGOT_CHECK(registers_.size() < kRegisters, "no register left for %s", name.c_str());
  registers_.push_back(name);
  return static_cast<int>(registers_.size()) - 1;
}

void StoryGrammar::ParseRule(const std::string& line) {
  const size_t colon = line.find(": ");
  INGOT_CHECK(colon != std::string::npos, "a rule without a colon: %s", line.c_str());
  const auto rule = static_cast<size_t>(RuleNamed(line.substr(0, colon)));
  INGOT_CHECK(rules_[rule].alternatives.empty(), "rule %s is defined twice", rules_[rule].name.c_str());
  for (const std::string& text : std::vector<std::string>(absl::StrSplit(line.substr(colon + 2), '|'))) {
    Alternative alternative = ParseAlternative(std::string(absl::StripAsciiWhitespace(text)));
    rules_[rule].total_weight += alternative.weight;
    rules_[rule].alternatives.push_back(std::move(alternative));
  }
}

StoryGrammar::Alternative StoryGrammar::ParseAlternative(std::string text) {
  Alternative alternative;
  if (const size_t tilde = text.find('~'); tilde != std::string::npos) {
    const bool good = absl::SimpleAtoi(text.substr(0, tilde), &alternative.weight) && alternative.weight > 0;
    INGOT_CHECK(good, "not a weight: %s", text.c_str());
    text = std::string(absl::StripAsciiWhitespace(text.substr(tilde + 1)));
  }
  if (const size_t arrow = text.find("->"); arrow != std::string::npos) {
    alternative.next = RuleNamed(std::string(absl::StripAsciiWhitespace(text.substr(arrow + 2))));
    text = std::string(absl::StripAsciiWhitespace(text.substr(0, arrow)));
  }
  ParseParts(text, alternative);
  return alternative;
}

void StoryGrammar::ParseParts(const std::string& text, Alternative& alternative) {
  for (size_t at = 0; at < text.size();) {
    const size_t open = std::min(text.find_first_of("[{", at), text.size());
    if (open > at) alternative.parts.push_back({.kind = Kind::kText, .text = text.substr(at, open - at)});
    if (open == text.size()) return;
    const size_t close = text.find(text[open] == '[' ? ']' : '}', open);
    INGOT_CHECK(close != std::string::npos, "a bracket is not closed: %s", text.c_str());
    const std::string inside = text.substr(open + 1, close - open - 1);
    if (text[open] == '[') {
      alternative.parts.push_back({.kind = Kind::kRule, .rule = RuleNamed(inside)});
    } else {
      alternative.parts.push_back(ParseBraces(inside));
    }
    at = close + 1;
  }
}

StoryGrammar::Part StoryGrammar::ParseBraces(const std::string& inside) {
  if (const size_t equals = inside.find('='); equals != std::string::npos) {
    const std::pair<std::string, std::string> name = absl::StrSplit(inside.substr(0, equals), absl::MaxSplits('.', 1));
    return {.kind = Kind::kRemember,
            .rule = RuleNamed(inside.substr(equals + 1)),
            .reg = RegisterNamed(name.first),
            .form = name.second == "m" ? 1 : 0};
  }
  if (const size_t colon = inside.find(':'); colon != std::string::npos) {
    const std::pair<std::string, std::string> forms = absl::StrSplit(inside.substr(colon + 1), absl::MaxSplits('/', 1));
    return {.kind = Kind::kAgree, .reg = RegisterNamed(inside.substr(0, colon)), .forms = {forms.first, forms.second}};
  }
  return {.kind = Kind::kRecall, .reg = RegisterNamed(inside)};
}

struct StoryGrammar::Sampler {
  const StoryGrammar& grammar;
  Philox random;
  uint64_t stream = 0, draws = 0;
  Story story = {};
  std::array<std::string, kRegisters> remembered = {};
  std::array<int, kRegisters> forms = {};

  const Alternative& Choose(const Rule& rule) {
    auto at = static_cast<int64_t>(random.Below(static_cast<uint64_t>(rule.total_weight), stream, draws++));
    size_t chosen = 0;
    while (at >= rule.alternatives[chosen].weight) at -= rule.alternatives[chosen++].weight;
    const Alternative& alternative = rule.alternatives[chosen];
    story.bits -= std::log2(static_cast<double>(alternative.weight) / static_cast<double>(rule.total_weight));
    return alternative;
  }

  void Write(const Part& part) {
    const auto reg = static_cast<size_t>(part.reg);
    switch (part.kind) {
      case Kind::kText:
        story.text += part.text;
        return;
      case Kind::kRule:
        Expand(part.rule);
        return;
      case Kind::kRemember: {
        const size_t begin = story.text.size();
        Expand(part.rule);
        remembered[reg] = story.text.substr(begin);
        forms[reg] = part.form;
        return;
      }
      case Kind::kRecall:
        story.text += remembered[reg];
        return;
      case Kind::kAgree:
        story.text += part.forms[static_cast<size_t>(forms[reg])];
        return;
    }
  }
  // Returns the rule to go on with, -1 for none.
  int Expand(int rule) {
    const Alternative& alternative = Choose(grammar.rules_[static_cast<size_t>(rule)]);
    for (const Part& part : alternative.parts) Write(part);
    return alternative.next;
  }
};

StoryGrammar::Story StoryGrammar::Sample(uint64_t seed, uint64_t index) const {
  Sampler sampler = {.grammar = *this, .random = Philox{seed}, .stream = index};
  for (int rule = 0; rule >= 0;) {
    if (!sampler.story.text.empty()) sampler.story.text += ' ';
    rule = sampler.Expand(rule);
  }
  return std::move(sampler.story);
}

// Parts one after the other: each possible state of the registers flows through each part.
StoryGrammar::Expectation StoryGrammar::Expect(const Alternative& alternative, const Forms& before) const {
  Expectation sum;
  sum.forms = {{before, 1.0}};
  for (const Part& part : alternative.parts) {
    Distribution after;
    for (const auto& [forms, probability] : sum.forms) {
      const auto [rule, form] = part.reg >= 0 ? forms[static_cast<size_t>(part.reg)] : std::pair{-1, 0};
      if (part.kind == Kind::kRule || part.kind == Kind::kRemember) {
        Expectation inner = Expect(part.rule, forms);
        sum.bits += probability * inner.bits;
        sum.bytes += probability * inner.bytes;
        for (const auto& [inner_forms, inner_probability] : inner.forms) {
          Forms filled = inner_forms;
          if (part.kind == Kind::kRemember) filled[static_cast<size_t>(part.reg)] = {part.rule, part.form};
          after[filled] += probability * inner_probability;
        }
        continue;
      }
      double bytes = static_cast<double>(part.text.size());
      if (part.kind != Kind::kText) INGOT_CHECK(rule >= 0, "a register is used before it is filled");
      if (part.kind == Kind::kRecall) bytes = Expect(rule, Forms{}).bytes;
      if (part.kind == Kind::kAgree) bytes = static_cast<double>(part.forms[static_cast<size_t>(form)].size());
      sum.bytes += probability * bytes;
      after[forms] += probability;
    }
    sum.forms = std::move(after);
  }
  return sum;
}

StoryGrammar::Expectation StoryGrammar::Expect(int index, const Forms& forms) const {
  const Rule& rule = rules_[static_cast<size_t>(index)];
  Expectation sum;
  for (const Alternative& alternative : rule.alternatives) {
    const double probability = static_cast<double>(alternative.weight) / static_cast<double>(rule.total_weight);
    const Expectation inner = Expect(alternative, forms);
    sum.bits += probability * (inner.bits - std::log2(probability));
    sum.bytes += probability * inner.bytes;
    for (const auto& [inner_forms, inner_probability] : inner.forms) {
      sum.forms[inner_forms] += probability * inner_probability;
    }
  }
  return sum;
}

// The story as a Markov chain over (rule, forms): probability flows step by step until what is left of it, which
// shrinks geometrically, is far below the last bit of a double.
StoryEntropy StoryGrammar::Entropy() const {
  constexpr double kNothing = 0x1p-80;
  std::map<std::pair<int, Forms>, double> now;
  Forms empty;
  empty.fill({-1, 0});
  now[{0, empty}] = 1.0;
  StoryEntropy entropy;
  // What a step from a state does never changes.
  std::map<std::pair<int, Forms>, std::vector<Expectation>> steps;
  for (double left = 1; left > kNothing;) {
    std::map<std::pair<int, Forms>, double> then;
    for (const auto& [state, mass] : now) {
      const Rule& rule = rules_[static_cast<size_t>(state.first)];
      std::vector<Expectation>& step = steps[state];
      for (size_t a = step.size(); a < rule.alternatives.size(); ++a) {
        step.push_back(Expect(rule.alternatives[a], state.second));
      }
      for (size_t a = 0; a < rule.alternatives.size(); ++a) {
        const Alternative& alternative = rule.alternatives[a];
        const double p = static_cast<double>(alternative.weight) / static_cast<double>(rule.total_weight);
        const double blank = alternative.next >= 0 ? 1 : 0;
        entropy.bits_per_story += mass * p * (step[a].bits - std::log2(p));
        entropy.bytes_per_story += mass * p * (step[a].bytes + blank);
        if (alternative.next < 0) continue;
        for (const auto& [forms, probability] : step[a].forms) {
          then[{alternative.next, forms}] += mass * p * probability;
        }
      }
    }
    now = std::move(then);
    left = 0;
    for (const auto& [state, mass] : now) left += mass;
  }
  return entropy;
}

}  // namespace ingot
