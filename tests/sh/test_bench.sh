#!/usr/bin/env bash
# tests/bench/compare.lua must say which peer is missing, time one whose losses are mascon's, refuse one whose losses are not, and go on
# without a side that ends.
set -u
build=${BUILD:-build}
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export BUILD=$build MASCON=$build/mascon PEAK=false LUA_PATH="tests/bench/?.lua;;"

# A peer that knows k-NN only: `python -c ...` asks for modules, of which it has scikit-learn; else it serves, losses from $LOSSES, 1000 ms a
# step. DIES: it ends, with a complaint, at this question (start: before any).
cat >"$top/python" <<'PEER'
#!/bin/sh
case "$1 $2" in
"-c "*sklearn*) exit 0 ;;
-c*) exit 1 ;;
esac
dies() { echo 'out of luck' >&2; exit 1; }
[ "${DIES:-}" != start ] || dies
while read -r word rest; do
  [ "${DIES:-}" != "$word" ] || dies
  case $word in
  cases) echo '{"cases": ["ml 1-nn 1000x128"], "about": "pretender 1"}' ;;
  check) echo "{\"losses\": $LOSSES}" ;;
  time) echo '{"median": 1000, "p10": 1000, "p90": 1000, "min": 1000, "n": 1}' ;;
  quit) exit 0 ;;
  *) echo '{}' ;;
  esac
done
PEER
chmod +x "$top/python"
losses=$(printf 'check 1 ml 1-nn 1000x128\nquit\n' | "$MASCON" tests/bench/workloads.lua eager | sed -n 's/.*"losses":\(\[[^]]*\]\).*/\1/p')

expect() { # expect NAME STATUS TEXT PYTHON LOSSES; ROW=its label
  PEERS_PYTHON=$4 LOSSES=$5 timeout 300 "$MASCON" tests/bench/compare.lua --rounds 2 --seconds 0.01 --only "${ROW:-ml 1-nn 1000x128}" >"$top/out" 2>&1
  local rc=$?
  if [ $rc -eq "$2" ] && grep -qE -- "$3" "$top/out"; then
    echo "ok $1"
  else
    echo "not ok $1: exit status $rc, expected $2 and: $3" && cat "$top/out"
  fi
}
expect 'a missing peer is named' 0 "missing: sklearn for $top/none" "$top/none" "$losses"
expect 'a peer with the same losses is timed' 0 '^ml 1-nn 1000x128 .* scikit-learn 1000 ms, ratio .* met' "$top/python" "$losses"
expect 'one with other losses is not' 1 'score 1 is 9 in scikit-learn.*not timed' "$top/python" '[9]'
expect 'nor one with too few' 1 'score 1 is .*nan in scikit-learn.*not timed' "$top/python" '[]'
for question in start time; do
  DIES=$question expect "one that ends at '$question' is named and left out" 0 'scikit-learn: out of luck' "$top/python" "$losses"
done
MASCON_ISA=v2 ROW='W1 bf16' expect 'no bf16 here: said, not measured' 0 'bf16: .*needs a processor with AVX512_BF16' "$top/none" ''

# The workloads' nets have the weights of the formula, not ones drawn here: PyTorch's loss of the same generator and critic.
first=$(printf 'check 1 W6 generator\nquit\n' | "$MASCON" tests/bench/workloads.lua eager | sed -n 's/.*"losses":\[\([^],]*\).*/\1/p')
if [ -n "$first" ] && awk "BEGIN { exit !($first > 0.01311 && $first < 0.01313) }"; then
  echo "ok a workload's net is PyTorch's"
else
  echo "not ok a workload's net is PyTorch's: its first loss is ${first:-missing}, expected 0.0131178"
fi

# A process that stops listening and ends costs an answer, not the life of the one that asks.
cat >"$top/gone.lua" <<'LUA'
print(select(2, require "side".start("gone", [[sh -c 'exec <&-; sleep 0.2']], arg[1])))
LUA
out=$(env --default-signal=PIPE "$MASCON" "$top/gone.lua" "$top" 2>&1)
rc=$?
if [ $rc -eq 0 ] && [ "$out" = 'the process ended' ]; then
  echo 'ok a process that is gone costs no SIGPIPE'
else
  echo "not ok a process that is gone costs no SIGPIPE: exit status $rc, $out"
fi
