#!/usr/bin/env bash
# Every benchmark: small.lua (what the runtime itself costs), then compare.lua (the workloads, in mascon and in the peers that are there, in
# turn). ONLY=name takes small, or the workloads whose name has it. ROUNDS=, SECONDS_EACH=, PEERS=torch,jax, WRITE=1 (tests/bench/RESULTS.md),
# LOCK=file (held while the clock runs), PEERS_PYTHON=interpreter, MASCON_THREADS=. Says what it could not run, and why. ONLY=sharing: sharing.sh,
# a step beside other programs.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build} ONLY=${ONLY:-}
[ "$ONLY" != sharing ] || ONLY='' exec tests/bench/sharing.sh
export BUILD MASCON=$BUILD/mascon PEAK=$BUILD/peak LUA_PATH="tests/lua/?.lua;tests/bench/?.lua;;"
export OMP_NUM_THREADS=${MASCON_THREADS:-$(nproc)}
export MASCON_THREADS=$OMP_NUM_THREADS
if [ -z "$ONLY" ] || [ "$ONLY" = small ]; then
  echo '== small'
  "$MASCON" tests/bench/small.lua || exit 1
  [ -z "$ONLY" ] || exit 0
fi
echo '== workloads'
if [ tests/bench/peak.c -nt "$PEAK" ]; then
  ${CC:-cc} -std=gnu11 -O3 -march=native -fopenmp -o "$PEAK" tests/bench/peak.c || echo "missing: what peak.c needs, so no floors"
fi
set --
[ -z "${ROUNDS:-}" ] || set -- "$@" --rounds "$ROUNDS"
[ -z "${SECONDS_EACH:-}" ] || set -- "$@" --seconds "$SECONDS_EACH"
[ -z "${PEERS:-}" ] || set -- "$@" --peers "$PEERS"
[ -z "${LOCK:-}" ] || set -- "$@" --lock "$LOCK"
[ -z "${WRITE:-}" ] || set -- "$@" --write
[ -z "$ONLY" ] || set -- "$@" --only "$ONLY"
# Fewer threads than cores: as many cores for everybody, since not every library can be told otherwise.
pin=()
if [ "$MASCON_THREADS" -lt "$(nproc)" ] && command -v taskset >/dev/null; then pin=(taskset -c "0-$((MASCON_THREADS - 1))"); fi
exec "${pin[@]}" "$MASCON" tests/bench/compare.lua "$@"
