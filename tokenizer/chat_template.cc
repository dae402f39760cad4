#include "tokenizer/chat_template.h"

namespace ingot {
namespace {

// Newlines come from strings only: Jinja's trimming of blocks differs between its implementations.
// clang-format off
constexpr char kTemplate[] =
    R"jinja({%- if tools -%}{{- '<|im_start|>system\n' -}}{%- if messages[0]['role'] == 'system' -%})jinja"
    R"jinja({{- messages[0]['content'] + '\n' -}}{%- endif -%}{{- '<tools>\n' -}}{%- for t in tools -%})jinja"
    R"jinja({{- (t | tojson) + '\n' -}}{%- endfor -%}{{- '</tools><|im_end|>\n' -}}{%- endif -%})jinja"
    R"jinja({%- for m in messages -%}{%- if not (tools and loop.first and m['role'] == 'system') -%})jinja"
    R"jinja({%- if m['content'] is none -%}{%- set text = '' -%}{%- elif m['content'] is string -%})jinja"
    R"jinja({%- set text = m['content'] -%}{%- else -%}{%- set ns = namespace(text='') -%})jinja"
    R"jinja({%- for p in m['content'] -%}{%- set ns.text = ns.text + p['text'] -%}{%- endfor -%})jinja"
    R"jinja({%- set text = ns.text -%}{%- endif -%}{{- '<|im_start|>' + m['role'] + '\n' -}})jinja"
    R"jinja({%- if m['role'] == 'assistant' -%}{%- generation -%}{{- text -}}{%- if m['tool_calls'] -%})jinja"
    R"jinja({%- for c in m['tool_calls'] -%})jinja"
    R"jinja({{- '<tool_call>\n{"name": ' + (c['function']['name'] | tojson) + ', "arguments": ' -}})jinja"
    R"jinja({%- if c['function']['arguments'] is string -%}{{- c['function']['arguments'] -}}{%- else -%})jinja"
    R"jinja({{- c['function']['arguments'] | tojson -}}{%- endif -%}{{- '}\n</tool_call>' -}}{%- endfor -%})jinja"
    R"jinja({%- endif -%}{{- '<|im_end|>' -}}{%- endgeneration -%}{%- else -%}{{- text + '<|im_end|>' -}})jinja"
    R"jinja({%- endif -%}{{- '\n' -}}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%})jinja"
    R"jinja({{- '<|im_start|>assistant\n' -}}{%- endif -%})jinja";
// clang-format on

}  // namespace

absl::string_view ChatTemplate() { return kTemplate; }

}  // namespace ingot
