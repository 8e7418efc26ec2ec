#!/usr/bin/env bash
# Allocations that fail, a sample of them (tests/alloc/sweep.lua; tests/soak/alloc.sh takes them all). ALLOC_EVERY=1 for all, ALLOC_BODIES for
# some bodies only.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build}
if [ -n "${SAN:-}${STRESS:-}" ]; then
  echo 'skipped: a sanitizer has a malloc of its own; without one it is tested'
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
every=${ALLOC_EVERY:-29}
# shellcheck disable=SC2086
LUA_PATH='./?.lua;;' TMPDIR=$folder LD_PRELOAD=$PWD/$BUILD/tests/failing.so "$BUILD/mascon" tests/alloc/sweep.lua "$every" "${ALLOC_OFFSET:-$((RANDOM % every + 1))}" \
  ${ALLOC_BODIES:-} >"$folder/out" 2>&1
rc=$?
grep -E '^(ok|not ok) ' "$folder/out"
if [ $rc -ne 0 ]; then
  cat "$folder/out"
  [ $rc -eq 1 ] || echo "not ok the sweep ended with status $rc"
  exit 1
fi
