#!/usr/bin/env python3
"""Makes docs/config.md from the comments of configs/ingot.proto.

    tools/config_docs.py            writes docs/config.md
    tools/config_docs.py --check    fails if docs/config.md is not what it would write
    tools/config_docs.py --self-test
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIELD = re.compile(r"(optional|repeated) (\w+) (\w+) = \d+(?: \[default = ([^\]]+)\])?;")
VALUE = re.compile(r"(\w+) = \d+;")


def parse(text):
    """Messages in file order: {name, comment, fields: [(name, type, default, comment)], enums: {name: [(value, comment)]}}."""
    messages, comment, message, enum = [], [], None, None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("//"):
            comment.append(line[2:].strip())
            continue
        said = " ".join(comment)
        if match := re.match(r"message (\w+) \{", line):
            message = {"name": match[1], "comment": said, "fields": [], "enums": {}}
            messages.append(message)
        elif match := re.match(r"enum (\w+) \{", line):
            enum = message["enums"].setdefault(match[1], [])
        elif match := FIELD.match(line):
            if not said:
                sys.exit(f"configs/ingot.proto:{number}: field {match[3]} has no comment")
            kind = match[2] if match[1] == "optional" else f"list of {match[2]}"
            message["fields"].append((match[3], kind, match[4], said))
        elif enum is not None and (match := VALUE.match(line)):
            enum.append((match[1], said))
        elif line == "}":
            enum, message = None, message if enum is not None else None
        elif line and not re.match(r"(syntax|package) ", line):
            sys.exit(f"configs/ingot.proto:{number}: not understood: {line}")
        comment = []
    return messages


def default_of(kind, default):
    if kind.startswith("list of"):
        return "none"
    if default is None:
        return {"string": "none"}.get(kind, "0")
    return f"`{default}`"


def section(group, comment, message, messages):
    lines = [f"## {group}", "", f"{comment} {message['comment']}".strip(), "", "| field | type | default | meaning |",
             "| --- | --- | --- | --- |"]
    inner_sections = []
    for name, kind, default, said in message["fields"]:
        values = message["enums"].get(kind)
        if values:
            said += "".join(f"<br>`{value}`: {why}" for value, why in values)
            kind = "name"
        inner = messages.get(kind.removeprefix("list of "))
        if inner:
            inner_sections += section(f"{group}.{name}", "", inner, messages)
            kind = kind.replace(inner["name"], "groups") if kind.startswith("list") else "group"
        lines.append(f"| `{group}.{name}` | {kind} | {default_of(kind, default)} | {said.replace('|', chr(92) + '|')} |")
    return lines + [""] + inner_sections


def render(text):
    messages = {message["name"]: message for message in parse(text)}
    lines = ["# Configuration", "",
             "Made from `configs/ingot.proto` by `tools/config_docs.py`; change it there.", "",
             "A run is one `RunConfig` in protobuf text format. `ingot train --config FILE` takes it, "
             "`--set path.to.field=value` changes single fields (strings and names also without quotes), and all "
             "problems are reported at once. `RUN_DIR/config.textproto` holds it with every default written out. "
             "Ready ones: `configs/*.textproto`.", ""]
    for group, kind, _, comment in messages["RunConfig"]["fields"]:
        lines += section(group, comment, messages[kind], messages)
    return "\n".join(lines)


def self_test():
    text = ('message RunConfig {\n  // A group.\n  optional G g = 1;\n}\n// About G.\nmessage G {\n  enum E {\n'
            '    // First.\n    a = 0;\n  }\n  // Long\n  // comment.\n  optional E e = 1 [default = a];\n}\n')
    page = render(text)
    assert "## g" in page and "A group. About G." in page, page
    page = render(text.replace("message G {", "message H {\n  // Many.\n  repeated double w = 1;\n}\nmessage G {\n"
                                               "  // Inner.\n  repeated H h = 2;"))
    assert "## g.h" in page and "| `g.h.w` | list of double | none | Many. |" in page, page
    assert "| `g.e` | name | `a` | Long comment.<br>`a`: First. |" in page, page


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    page = render((ROOT / "configs/ingot.proto").read_text())
    target = ROOT / "docs/config.md"
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_text() != page:
            sys.exit("docs/config.md is not what tools/config_docs.py makes of configs/ingot.proto: run it")
        return None
    target.parent.mkdir(exist_ok=True)
    target.write_text(page)
    return None


if __name__ == "__main__":
    main()
