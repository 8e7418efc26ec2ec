#!/usr/bin/env bash
# Every fuzz target for a few seconds (tests/soak/fuzz.sh has them for minutes), from the same numbers each time; where there is clang.
# test_formats tries every prefix and 2,000 changes of every fixture, without clang.
set -u
cd "$(dirname "$0")/../.." || exit 2
if [ -n "${SAN:-}${STRESS:-}" ]; then
  echo 'skipped: it has sanitizers of its own; without them it is run'
  exit 0
fi
FUZZ_SECONDS=${FUZZ_SECONDS:-5} FUZZ_SEED=${FUZZ_SEED:-1} exec bash tests/soak/fuzz.sh
