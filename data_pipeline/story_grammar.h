#pragma once
// StoryGrammar: a probabilistic grammar with a little memory whose entropy is known exactly.
//
// Its text form, one rule a line, "#" before comments:
//   Name: alternative | alternative | …
// An alternative is taken with probability weight / sum of weights; "3~" in front gives it weight 3, otherwise 1. It is
// text with
//   [Name]           an expansion of another rule
//   {hero.f=Name}    the same, which the register `hero` remembers with the form f (f, m, or none: the first)
//   {hero}           what the register remembers
//   {hero:She/He}    one of two words by the register's form, f or m
// and, at its end, "-> Name" where the story goes on with that rule, after a blank: only such rules may come round to
// themselves. An alternative without an arrow, in a rule that a story goes on with, ends the story.
//
// Every text has exactly one derivation (tests/data_pipeline/sample_corpus_test.cc counts them), so the probability of
// a text is the product of its choices, and the entropy of a story H = E[-log2 p(text)] is a sum over choices. No
// choice depends on what a register remembers, only its form does, so (rule, forms of the registers) is a finite
// state: expected bits and bytes follow by propagating probabilities through it, and a remembered word adds 0 bits and
// the mean length of the rule it came from.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ingot {

struct StoryEntropy {
  double bits_per_story = 0;   // H, the end of the story included
  double bytes_per_story = 0;  // expected length of a story's text
  double bits_per_byte() const { return bits_per_story / bytes_per_story; }
};

class StoryGrammar {
 public:
  static constexpr int kRegisters = 4;

  // The parsed form; public so that tests can walk it.
  enum class Kind { kText, kRule, kRemember, kRecall, kAgree };
  struct Part {
    Kind kind = Kind::kText;
    std::string text = {};                  // kText
    int rule = -1;                          // kRule, kRemember
    int reg = -1, form = 0;                 // kRemember, kRecall, kAgree
    std::array<std::string, 2> forms = {};  // kAgree
  };
  struct Alternative {
    int64_t weight = 1;
    std::vector<Part> parts;
    int next = -1;  // rule the story goes on with
  };
  struct Rule {
    std::string name;
    int64_t total_weight = 0;
    std::vector<Alternative> alternatives;
  };
  struct Story {
    std::string text;
    double bits = 0;  // -log2 of its probability
  };

  // The first rule is where a story begins. A mistake in `text` is a programmer's error.
  explicit StoryGrammar(const char* text);

  // Story number `index` of the corpus of `seed`: a pure function of both.
  Story Sample(uint64_t seed, uint64_t index) const;
  StoryEntropy Entropy() const;

  const std::vector<Rule>& rules() const { return rules_; }

 private:
  // By register: the kRemember part that filled it as (rule, form); {-1, 0} while empty.
  using Forms = std::array<std::pair<int, int>, kRegisters>;
  using Distribution = std::map<Forms, double>;
  struct Expectation {
    double bits = 0, bytes = 0;
    Distribution forms;
  };
  struct Sampler;

  int RuleNamed(const std::string& name);
  int RegisterNamed(const std::string& name);
  void ParseRule(const std::string& line);
  Alternative ParseAlternative(std::string text);
  Part ParseBraces(const std::string& inside);
  void ParseParts(const std::string& text, Alternative& alternative);

  Expectation Expect(int rule, const Forms& forms) const;
  Expectation Expect(const Alternative& alternative, const Forms& forms) const;

  std::vector<Rule> rules_;
  std::vector<std::string> registers_;
};

}  // namespace ingot
