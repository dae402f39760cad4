#pragma once
// The chat template (Jinja) that is written beside a tokenizer: how a fine-tuning tool lays out messages. A message is
// <|im_start|>ROLE LF TEXT <|im_end|> LF; tools stand in the system message, calls in <tool_call> blocks; the
// assistant's text is marked as what to train on.
#include "absl/strings/string_view.h"

namespace ingot {

absl::string_view ChatTemplate();

}  // namespace ingot
