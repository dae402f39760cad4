#!/usr/bin/env python3
"""Whether build/portable/carry.tar.xz (tools/portable_build.sh) can be carried to a GPU machine.

usage: tools/portable_check.py

Each program needs nothing but the C library, libgcc_s and what lies in lib/ beside it; no newer C library than Debian 12's;
the archive is small; unpacked elsewhere the programs start with an empty environment; and where there is no GPU they say
so and exit 1. Ends with `N passed, N failed`; exits 1 on a failure.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from check_report import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
OF_THE_TARGET = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1",
                 "ld-linux-x86-64.so.2"}
NEWEST_LIBC = (2, 36)  # Debian 12
MOST_BYTES = 16 << 20  # a machine may take little, and the sources are carried too


def readelf(path, *flags):
    return subprocess.run(["readelf", "-W", *flags, path], check=True, capture_output=True, text=True).stdout


def needs(carry, path):
    """Needed libraries that neither the target nor lib/ has, and C library versions that are too new."""
    beside = {library.name for library in (carry / "lib").iterdir()}
    paths = re.search(r"\(RPATH\).*\[(.+)\]", readelf(path, "-d"))
    program = path.parent == carry
    if program and (not paths or "$ORIGIN/lib" not in paths[1].split(":")):
        yield f"{path.name} does not look into lib/ beside it"
    for name in re.findall(r"\(NEEDED\).*\[(.+)\]", readelf(path, "-d")):
        if name not in OF_THE_TARGET | beside:
            yield f"{path.name} needs {name}"
    for major, minor in set(re.findall(r"@GLIBC_(\d+)\.(\d+)", readelf(path, "--dyn-syms"))):
        if (int(major), int(minor)) > NEWEST_LIBC:
            yield f"{path.name} needs a C library {major}.{minor}"


def size(archive):
    print(f"{archive.name}: {archive.stat().st_size / (1 << 20):.1f} MiB")
    if archive.stat().st_size > MOST_BYTES:
        yield f"{archive} has {archive.stat().st_size} bytes, the limit is {MOST_BYTES}"


def run(folder, *command):
    return subprocess.run([folder / command[0], *command[1:]], cwd=folder, env={"HOME": str(folder)}, text=True,
                          capture_output=True, timeout=300)


def starts(folder):
    info = run(folder, "ingot", "info", "--json")
    if info.returncode != 0:
        yield f"ingot info: {info.stderr}"
        return
    facts = json.loads(info.stdout)
    print(f"cuda: {facts['cuda']}; products: {facts['cuda_products']}")
    if "CUDA runtime" not in facts["cuda"]:
        yield f"ingot info says of CUDA: {facts['cuda']}"
    if "without cuBLASLt's header" in facts["cuda_products"]:
        yield f"products: {facts['cuda_products']}"
    test = run(folder, "kernels_test", "--gtest_filter=FillTest.*:Blas.*:GemmPlans.*")
    if test.returncode != 0 or "PASSED" not in test.stdout:
        yield f"kernels_test: {test.stdout[-2000:]}{test.stderr[-2000:]}"
    if not facts["gpus"]:
        yield from says_that_there_is_no_gpu(folder)


def says_that_there_is_no_gpu(folder):
    shutil.copy(ROOT / "configs/tiny_sample.textproto", folder)
    for command in (["ingot", "bench", "step", "--config", "tiny_sample.textproto", "--device", "cuda"],
                    ["ingot", "bench", "kernels", "--device", "cuda"], ["record_goldens", "."]):
        done = run(folder, *command)
        if done.returncode != 1 or "no GPU can be used" not in done.stderr:
            yield f"without a GPU, {' '.join(command)} exits with {done.returncode}: {done.stderr}"


def main():
    archive = ROOT / "build/portable/carry.tar.xz"
    with tempfile.TemporaryDirectory() as temporary:
        with tarfile.open(archive) as tar:
            tar.extractall(temporary)
        carry = pathlib.Path(temporary, "carry")
        files = [path for path in [*carry.iterdir(), *(carry / "lib").iterdir()]
                 if path.is_file() and path.name != "commit"]
        results = [list(needs(carry, path)) for path in files] + [list(size(archive)), list(starts(carry))]
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
