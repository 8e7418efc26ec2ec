#!/usr/bin/env bash
# Run every benchmark: tests/bench/*.lua by the program, and the same work in PyTorch and scikit-learn (tests/peers/bench_*.py) where they
# are. ONLY=name takes those whose name has it. Says what it could not run, and why.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build} ONLY=${ONLY:-}
export BUILD MASCON=$BUILD/mascon LUA_PATH="tests/lua/?.lua;tests/bench/?.lua;;"
rc=0 ran=0
shopt -s nullglob
for file in tests/bench/*.lua; do
  [[ $file == *"$ONLY"* ]] || continue
  echo "== $file"
  "$MASCON" "$file" || rc=1
  ran=$((ran + 1))
done
for file in tests/peers/bench_*.py; do
  [[ $file == *"$ONLY"* ]] || continue
  echo "== $file"
  if ! command -v python3 >/dev/null; then
    echo 'missing: python3'
  elif python3 -c 'import torch' 2>/dev/null; then
    python3 "$file" || rc=1
    ran=$((ran + 1))
  else
    echo 'missing: torch (Debian: python3-torch), so there is nothing to compare with'
  fi
done
[ $ran -gt 0 ] || { echo "bench: nothing to run in tests/bench${ONLY:+ with \"$ONLY\" in its name}" && rc=1; }
exit $rc
