#!/usr/bin/env bash
# Random programs, eager against compiled (tests/programs): 20,000 of a seed from the clock, in PROGRAMS=n other ones, SEED=n that seed.
# What fails is minimised and left in $OUT.
set -u
MASCON=${MASCON:-build/mascon} OUT=${OUT:-${BUILD:-build}/soak}
mkdir -p "$OUT"
exec "$MASCON" tests/programs/main.lua --seed "${SEED:-$(date +%s)}" --count "${PROGRAMS:-20000}" --out "$OUT"
