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
# Moments from the first breath to a third of a whole run: some fall into the start, some into a net, some into a figure or a checkpoint.
longest=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a) / 3 }')
hits=0 ended=0 round=1
while [ $hits -lt "$kills" ]; do
  at=$(awk -v r=$RANDOM -v most="$longest" 'BEGIN { print 0.02 + most * r / 32767 }')
  run_killed "$at" "$top/$round" --quick --refresh 0.2
  case $? in
  0) hits=$((hits + 1)) ;;
  1)
    same_result "$top/whole" "$top/$round" || { echo "not ok: run $round after $hits kills"; exit 1; }
    ended=$((ended + 1)) round=$((round + 1))
    ;;
  *) echo "not ok: it failed by itself after $hits kills"; exit 1 ;;
  esac
done
finish "$top/$round" --quick && same_result "$top/whole" "$top/$round" || { echo "not ok: run $round after $hits kills"; exit 1; }
echo "ok $hits kills over $((ended + 1)) runs: the weights of all three nets as those of an unbroken run, to the bit"
