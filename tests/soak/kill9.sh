#!/usr/bin/env bash
# 50 kill -9 at random moments of experiment 1 (--quick, five epochs of each net), each followed by a resume; whenever a run comes to its
# end, its three nets must be those of a run that nothing interrupted, to the bit, and then the next one begins.
#   kill9.sh [KILLS]     SEED=n: the same moments again
set -u
cd "$(dirname "$0")/../.." || exit 2
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
kills=${1:-50} SEED=${SEED:-$$}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
. tests/sh/resume_lib.sh

RANDOM=$SEED
echo "kill9: $kills kills, SEED=$SEED"
begun=$EPOCHREALTIME
finish "$top/whole" --quick || exit 1
# Moments from the first breath to six tenths of a whole run: into the start, into an epoch, into a figure or a checkpoint; and it goes on
# until each of the three nets was hit.
longest=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a) * 0.6 }')
hits=0 ended=0 round=1 in=(0 0 0)
while [ $hits -lt "$kills" ] || [ "${in[0]}" = 0 ] || [ "${in[1]}" = 0 ] || [ "${in[2]}" = 0 ]; do
  at=$(awk -v r=$RANDOM -v most="$longest" 'BEGIN { print 0.02 + most * r / 32767 }')
  run_killed "$at" "$top/$round" --quick --refresh 0.2
  case $? in
  0)
    hits=$((hits + 1))
    epochs=$(cat "$top/$round/metrics.jsonl" 2>/dev/null | wc -l) # five of each net
    net=$((epochs < 15 ? epochs / 5 : 2))
    in[net]=$((in[net] + 1))
    ;;
  1)
    same_result "$top/whole" "$top/$round" || { echo "not ok: run $round after $hits kills"; exit 1; }
    ended=$((ended + 1)) round=$((round + 1))
    ;;
  *) echo "not ok: it failed by itself after $hits kills"; exit 1 ;;
  esac
done
finish "$top/$round" --quick && same_result "$top/whole" "$top/$round" || { echo "not ok: run $round after $hits kills"; exit 1; }
echo "ok $hits kills (${in[*]} in the three nets) over $((ended + 1)) runs: the weights of all three nets as those of an unbroken run, to the bit"
