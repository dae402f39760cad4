#!/usr/bin/env bash
# usage: tools/nvcc_log.sh COMMAND... -o OBJECT ...
# Runs a compiler and keeps what it says in OBJECT.log, where tools/ptxas_budget.py reads it; shows it only on a failure.
set -uo pipefail

object=""
previous=""
for argument in "$@"; do
  if [ "$previous" = -o ]; then object=$argument; fi
  previous=$argument
done
if [ -z "$object" ]; then exec "$@"; fi
"$@" >"$object.log" 2>&1
status=$?
if [ $status -ne 0 ]; then cat "$object.log" >&2; fi
exit $status
