#!/usr/bin/env python3
"""Limits of this project that a compiler does not know: lengths, words left open, paths of one machine, formatting.

usage: tools/lint.py [--tidy BUILD_DIR [--since COMMIT]]

Prints each offence as `file:line: what`, then `N passed, N failed` over the rules; exits 1 if a rule is broken.
--tidy also runs clang-tidy on the .cc files that differ from COMMIT (default: the main branch).
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CPP = {".cc", ".h", ".cu", ".cuh"}
CODE = CPP | {".py", ".sh"}
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_KERNEL_LINES = 100  # in .cu files

# Written so that this file does not match itself.
OPEN_WORDS = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
MACHINE_PATHS = re.compile(r"/(work|tmp|farm)/|/(root|home)/[\w.]")
REGISTRY_HOSTS = re.compile(r"deb\.debian\.org|pypi\.org|files\.pythonhosted|registry\.npmjs|download\.pytorch\.org")
CUDA_ESCAPES = re.compile(r"\basm\b|<<<|^\s*#\s*(if|ifdef|ifndef|else|elif)\b|__shared__|\bextern\b|"
                          r"\bmem(cpy|set|move)\b")  # the race build cannot see a copy of a length known only at run time
# Of the headers only these hold PTX, or what else is the GPU's alone.
GPU_HEADERS = {"ptx.cuh", "hopper.cuh", "wgmma.cuh", "gpu.cuh", "device.cuh"}


class Skipped(Exception):
    pass


def project_files():
    """Tracked files and new ones that git does not ignore; of a tree without git, what is not made by a build."""
    try:
        out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout
        return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        made = {".git", "build", ".venv", "runs", "__pycache__"}
        return [path for path in sorted(ROOT.rglob("*"))
                if path.is_file() and not made & set(path.relative_to(ROOT).parts)]


def lines_of(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # a binary test file


def matches(files, pattern, what):
    for path in files:
        for number, line in enumerate(lines_of(path), 1):
            found = pattern.search(line)
            if found:
                yield f"{path.relative_to(ROOT)}:{number}: {what}: {found.group().strip()}"


def function_length(files):
    if shutil.which("ctags") is None:
        raise Skipped("no ctags on the PATH")
    sources = [str(p.relative_to(ROOT)) for p in files if p.suffix in CPP]
    tags = subprocess.run(["ctags", "-L", "-", "--languages=C++,CUDA", "--map-C++=+.h", "--c++-kinds=f",
                           "--cuda-kinds=f", "--fields=+ne", "-f", "-"], cwd=ROOT, input="\n".join(sources),
                          check=True, capture_output=True, text=True).stdout
    for tag in tags.splitlines():
        name, path, rest = tag.split("\t", 2)
        first, last = re.search(r"\tline:(\d+)", rest), re.search(r"\tend:(\d+)", rest)
        if not first or not last:
            continue
        length = int(last.group(1)) - int(first.group(1)) + 1
        limit = MAX_KERNEL_LINES if path.endswith((".cu", ".cuh")) else MAX_FUNCTION_LINES
        if length > limit:
            yield f"{path}:{first.group(1)}: {name} has {length} lines, the limit is {limit}"


def file_length(files):
    for path in files:
        count = len(lines_of(path)) if path.suffix in CODE else 0
        if count > MAX_FILE_LINES and "unicode_tables" not in path.name:  # a generated table
            yield f"{path.relative_to(ROOT)}:{count}: {count} lines, the limit is {MAX_FILE_LINES}"


def open_words(files):
    return matches(files, OPEN_WORDS, "left open")


def machine_paths(files):
    return matches(files, MACHINE_PATHS, "path of one machine")


def registry_hosts(files):
    return matches(files, REGISTRY_HOSTS, "package registry named")


def cuda_escapes(files):
    """Kernels reach hardware only through the wrappers of kernels/cuda/*.cuh."""
    for path in files:
        if path.suffix != ".cu" and (path.suffix != ".cuh" or path.name in GPU_HEADERS):
            continue
        for number, line in enumerate(lines_of(path), 1):
            found = CUDA_ESCAPES.search(line.split("//")[0])
            if found:
                yield f"{path.relative_to(ROOT)}:{number}: not in a kernel's source: {found.group().strip()}"


def formatting(files):
    if shutil.which("clang-format") is None:
        raise Skipped("no clang-format on the PATH")
    sources = [str(p) for p in files if p.suffix in CPP]
    out = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources], cwd=ROOT, capture_output=True, text=True)
    wrong = sorted({line.split(": error")[0] for line in out.stderr.splitlines() if ": error" in line})
    for place in wrong:
        yield f"{place}: run clang-format -i on it".replace(f"{ROOT}/", "")


def clang_tidy(files, build, since):
    if shutil.which("clang-tidy") is None:
        raise Skipped("no clang-tidy on the PATH")
    changed = subprocess.run(["git", "diff", "--name-only", since], cwd=ROOT, check=True, capture_output=True,
                             text=True).stdout.split()
    sources = [str(p) for p in files if p.suffix == ".cc" and str(p.relative_to(ROOT)) in changed]
    for source in sources:
        out = subprocess.run(["clang-tidy", "--quiet", "-p", build, source], cwd=ROOT, capture_output=True, text=True)
        yield from (line for line in out.stdout.splitlines() if re.search(r": (error|warning): ", line))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidy", metavar="BUILD_DIR", help="folder with compile_commands.json")
    parser.add_argument("--since", metavar="COMMIT", default="main")
    options = parser.parse_args()
    rules = [function_length, file_length, open_words, machine_paths, registry_hosts, cuda_escapes, formatting]
    files = project_files()
    passed = failed = 0
    checks = [(rule.__name__, lambda rule=rule: list(rule(files))) for rule in rules]
    if options.tidy:
        checks.append(("clang_tidy", lambda: list(clang_tidy(files, options.tidy, options.since))))
    for name, check in checks:
        try:
            offences = check()
        except Skipped as reason:
            print(f"skipped {name}: {reason}")
            continue
        print("\n".join(offences + [f"{'FAILED' if offences else 'ok'} {name}"]))
        failed += bool(offences)
        passed += not offences
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
