#!/usr/bin/env python3
"""Reads every #include of the product and fails on one that points up the ladder of docs/architecture.md.

usage: tests/include_ladder_test.py [--headers BUILD_DIR]

First the test tests itself: on a small tree with planted offences it must find each of them and nothing else.
--headers also compiles every header alone (BUILD_DIR holds the generated configs/ingot.pb.h).
Prints offences as `file:line: what`, then `N passed, N failed`; exits 1 on a failure.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {".cc", ".h", ".cu", ".cuh"}
EVERYTHING = {"core/base", "kernels", "tokenizer", "data_pipeline", "distributed", "core/model", "core/training",
              "configs", "tools"}
# What the files of a folder may include, besides the standard library and the packages its CMakeLists names.
ALLOWED = {
    "core/base": {"core/base"},
    "kernels/emulator": {"core/base", "kernels/emulator"},
    "kernels": {"core/base", "kernels", "kernels/emulator"},
    "tokenizer": {"core/base", "tokenizer"},
    "data_pipeline": {"core/base", "tokenizer", "data_pipeline"},
    "distributed": {"core/base", "kernels", "distributed"},
    "core/model": {"core/base", "kernels", "core/model"},
    "core/training": EVERYTHING - {"tools"},
    "configs": set(),
    "tools": EVERYTHING,
    "tests": EVERYTHING | {"kernels/emulator", "tests"},
}
CUDA_ALLOWED = {"core/base", "kernels"}
CUDA_ALLOWED_IN_TESTS = CUDA_ALLOWED | {"kernels/emulator", "tests"}
# Headers that .cu files include, by design: free of Abseil, which nvcc need not read.
CUDA_HEADERS = re.compile(r"core/base/(tensor|check|dtype|bf16|philox)\.h|kernels/[^/]*\.h")
# Helpers over JSON values, for .cc files only; they are as heavy as what they include.
JSON_HELPERS = {"tokenizer/json_fields.h"}
HEAVY_IN_HEADERS = {"nlohmann/json.hpp"} | JSON_HELPERS
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def folder_of(path):
    """The folder of ALLOWED that a path from the repository root lies in, or None if it is not ours."""
    return next((folder for folder in ALLOWED if path.startswith(folder + "/")), None)


class Tree:
    """The product files under a root, with what each includes."""

    def __init__(self, root):
        self.root = root
        self.includes = {}  # path from the root -> [(line number, included path)]
        for folder in sorted({name.split("/")[0] for name in ALLOWED}):
            for path in sorted((root / folder).rglob("*")):
                if path.suffix in SOURCES:
                    self.includes[str(path.relative_to(root))] = self._read(path)

    @staticmethod
    def _read(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [(number, INCLUDE.match(line)) for number, line in enumerate(lines, 1)]
        return [(number, match.group(2)) for number, match in found if match]

    def offences(self):
        cuda_side = self._cuda_side()
        for path, includes in self.includes.items():
            for number, included in includes:
                for what in self._wrong(path, included, path in cuda_side):
                    yield f"{path}:{number}: {what}"

    def _cuda_side(self):
        """The .cu files, the headers promised to them, and all that these include."""
        open_list = [p for p in self.includes if p.endswith((".cu", ".cuh")) or CUDA_HEADERS.fullmatch(p)]
        seen = set()
        while open_list:
            path = open_list.pop()
            if path not in seen:
                seen.add(path)
                open_list += [included for _, included in self.includes[path] if included in self.includes]
        return seen

    def _wrong(self, path, included, on_cuda_side):
        source, target = folder_of(path), folder_of(included)
        if path.endswith((".h", ".cuh")) and included in HEAVY_IN_HEADERS and path not in JSON_HELPERS:
            yield f"not in a header: {included}; nlohmann/json_fwd.hpp is enough there"
        if ".." in included.split("/"):
            yield f"no '..' in an include: {included}"
        if target is None:
            if (self.root / path).parent.joinpath(included).is_file():
                yield f"include from the repository root: {included}"
            if on_cuda_side and included.startswith("absl/"):
                yield f"no Abseil in a .cu file and the headers it includes: {included}"
        elif target not in ALLOWED[source]:
            yield f"{source} may not include {included}"
        elif target == "configs" and included != "configs/ingot.pb.h":
            yield f"of configs only configs/ingot.pb.h is included, not {included}"
        elif path.endswith(".cu") and target not in (CUDA_ALLOWED_IN_TESTS if source == "tests" else CUDA_ALLOWED):
            yield f"a .cu file may not include {included}"


PLANTED = {  # path: (text, what must be found as line: words)
    "core/base/a.h": ('#include "kernels/op.h"\n', ["1: core/base may not include kernels/op.h"]),
    "core/base/tensor.h": ('#include <span>\n#include "core/base/deep.h"\n', []),
    "core/base/deep.h": ('#include "absl/status/status.h"\n', ["1: no Abseil"]),
    "core/base/json.h": ("#include <nlohmann/json.hpp>\n", ["1: not in a header: nlohmann/json.hpp"]),
    "tokenizer/json_fields.h": ("#include <nlohmann/json.hpp>\n", []),
    "tokenizer/files.h": ('#include "tokenizer/json_fields.h"\n', ["1: not in a header: tokenizer/json_fields.h"]),
    "core/base/json.cc": ('#include "core/base/json.h"\n#include <nlohmann/json.hpp>\n', []),
    "kernels/op.h": ('#include "core/base/tensor.h"\n', []),
    "kernels/cpu/op.cc": ('#include "kernels/op.h"\n#include "core/model/dims.h"\n',
                          ["2: kernels may not include core/model/dims.h"]),
    "kernels/emulator/fiber.cc": ('#include "kernels/emulator/fiber.h"\n#include "kernels/op.h"\n',
                                 ["2: kernels/emulator may not include kernels/op.h"]),
    "kernels/cuda/device.cuh": ('#include "kernels/emulator/fiber.h"\n', []),
    "core/model/gpu.cc": ('#include "kernels/emulator/fiber.h"\n',
                          ["1: core/model may not include kernels/emulator/fiber.h"]),
    "kernels/cuda/op.cu": ('#include "kernels/op.h"\n  #  include <absl/strings/str_cat.h>\n', ["2: no Abseil"]),
    "tokenizer/t.cc": ('#include "data_pipeline/d.h"\n', ["1: tokenizer may not include data_pipeline/d.h"]),
    "data_pipeline/d.h": ('#include "tokenizer/../tokenizer/t.h"\n', ["1: no '..'"]),
    "distributed/r.cc": ('#include "core/model/dims.h"\n', ["1: distributed may not include core/model/dims.h"]),
    "core/model/dims.h": ('#include "configs/ingot.pb.h"\n', ["1: core/model may not include configs/ingot.pb.h"]),
    "core/model/llama.cc": ('#include "dims.h"\n', ["1: include from the repository root: dims.h"]),
    "core/training/c.cc": ('#include "configs/ingot.pb.h"\n#include "configs/other.h"\n#include "tools/x.h"\n',
                           ["2: of configs only", "3: core/training may not include tools/x.h"]),
    "tools/ingot/main.cc": ('#include "configs/ingot.pb.h"\n#include "core/training/c.h"\n', []),
    "tests/core/x_test.cc": ('#include "core/model/dims.h"\n#include "tests/core/y.h"\n', []),
    "kernels/cpu/y.cc": ('#include "tests/core/y.h"\n', ["1: kernels may not include tests/core/y.h"]),
}


def self_test():
    """What the checker gets wrong on the planted tree."""
    with tempfile.TemporaryDirectory() as name:
        for path, (text, _) in PLANTED.items():
            file = pathlib.Path(name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        found = list(Tree(pathlib.Path(name)).offences())
    expected = [f"{path}:{words}" for path, (_, wanted) in PLANTED.items() for words in wanted]
    missed = [f"planted, not found: {e}" for e in expected if not any(f.startswith(e) for f in found)]
    false = [f"found, not planted: {f}" for f in found if not any(f.startswith(e) for e in expected)]
    return missed + false


def compiles_alone(header, build):
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", "-march=x86-64-v3", "-I", str(ROOT),
               "-isystem", build, "-x", "c++", "-"]
    result = subprocess.run(command, input=f'#include "{header}"\n', capture_output=True, text=True, cwd=ROOT)
    first = next((line for line in result.stderr.splitlines() if "error" in line), "")
    return [] if result.returncode == 0 else [f"{header}:1: does not compile alone: {first}"]


def header_offences(build):
    # *_gpu.h are for builds with CUDA's own headers: nvcc's build compiles them.
    headers = [path for path in Tree(ROOT).includes if path.endswith(".h") and not path.endswith("_gpu.h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(lambda h: compiles_alone(h, build), headers) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headers", metavar="BUILD_DIR", help="compile every header alone")
    options = parser.parse_args()
    checks = [("finds planted offences", self_test), ("include ladder", lambda: list(Tree(ROOT).offences()))]
    if options.headers:
        checks = [("every header compiles alone", lambda: header_offences(options.headers))]
    failed = 0
    for name, check in checks:
        offences = check()
        failed += bool(offences)
        print("\n".join(offences + [f"{'FAILED' if offences else 'ok'} {name}"]))
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
