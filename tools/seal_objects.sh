#!/usr/bin/env bash
# usage: tools/seal_objects.sh OUT OBJECT...
# Links objects to one in which only ordinary functions are visible. Inline functions, templates and their data are local:
# what other files bring under the same names then neither replaces them nor is replaced.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 2
fi
out=$1
shift
ld -r --force-group-allocation -o "$out.joined" "$@"
nm --defined-only --extern-only --format=posix "$out.joined" | awk '$2 != "T" {print $1}' >"$out.local"
objcopy --localize-symbols="$out.local" "$out.joined" "$out"
rm -f "$out.joined" "$out.local"
