#pragma once

namespace ingot {

// The language of the sample corpus, in the form that StoryGrammar (story_grammar.h) reads.
extern const char kSampleStories[];

}  // namespace ingot
