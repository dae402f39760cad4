#!/usr/bin/env bash
# Runs every check of this folder (*_check.py) with the project's Python environment against the given ingot binary.
# usage: tests/downstream/run.sh [INGOT_BINARY]
# A check is called with --ingot BINARY and, if it has that option, with --shared FOLDER (INGOT_SHARED, else ../shared).
# It prints `ok NAME`, `FAILED NAME: why` or `skipped NAME: why` a line and ends with `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
ingot=$(realpath "${1:-build/release/ingot}")
export INGOT_SHARED=${INGOT_SHARED:-$(realpath -m ../shared)}
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
passed=0
failed=0
for script in tests/downstream/*_check.py; do
  name=$(basename "$script" .py)
  echo "== $name"
  arguments=(--ingot "$ingot")
  if grep -q -e '"--shared"' "$script"; then
    if [ ! -d "$INGOT_SHARED/data" ]; then
      echo "skipped $name: no corpora in $INGOT_SHARED/data (set INGOT_SHARED)"
      continue
    fi
    arguments+=(--shared "$INGOT_SHARED")
  fi
  output=$(.venv/bin/python "$script" "${arguments[@]}" 2>&1)
  status=$?
  echo "$output"
  sum=$(tail -n 1 <<<"$output" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
  # shellcheck disable=SC2086
  set -- ${sum:-0 1}
  if [ $status -ne 0 ] && [ "$2" = 0 ]; then set -- "$1" 1; fi
  [ -n "$sum" ] || echo "FAILED $name: ended without a sum (exit status $status)"
  passed=$((passed + $1))
  failed=$((failed + $2))
done
echo "$passed passed, $failed failed"
exit $((failed > 0))
