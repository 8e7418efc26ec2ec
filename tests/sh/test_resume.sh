#!/usr/bin/env bash
# Experiment 1 on a small set of its own: killed with -9 again and again and resumed it ends with the weights of a run that nothing
# interrupted, to the bit; how often figures are drawn changes nothing; what cannot go on says so.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
. tests/sh/resume_lib.sh

make_images "$top/data" 1100 60 || exit 1
small=(--data "$top/data" --dataset mnist --epochs 2 --batch 50 --labelled 100 --trees 3)

check 'a run from beginning to end' finish "$top/whole" "${small[@]}"

killed() { # killed four times, at moments that fall into all three nets; figures drawn all the time
  killed_at '0.2 0.7 1.1 1.6' "$top/broken" "${small[@]}" --refresh 0.01 || return 1
  finish "$top/broken" "${small[@]}" && same_result "$top/whole" "$top/broken"
}
check 'killed and resumed: the same weights, figures and metrics' killed

again() { "$MASCON" scripts/mnist_autoencoder.lua "${small[@]}" --resume "$@"; }
check 'no such folder' says "there is no folder $top/mistyped" again --out "$top/mistyped"
check 'and none is made' test ! -e "$top/mistyped"
check 'a folder without a run' says 'looked for run.json' again --out "$top/data"
check 'another batch' says 'option --batch: this run was begun with 50, now 25 is given' again --out "$top/whole" --batch 25
check 'another seed' says 'option --seed: this run was begun with 1, now 2 is given' again --out "$top/whole" --seed 2
check 'fewer epochs than were done' says '--epochs 1: codes has had 2 already' again --out "$top/whole" --epochs 1
cp -r "$top/whole" "$top/damaged"
for net in codes plane denoise; do
  truncate -s -9 "$top/damaged/$net.safetensors"
  check "a damaged checkpoint: $net" says "$net.safetensors" again --out "$top/damaged"
  cp "$top/whole/$net.safetensors" "$top/damaged/"
done
check 'and mended' again --out "$top/damaged"
check 'which changes nothing' same_result "$top/whole" "$top/damaged"

two() {
  "$MASCON" -e 'local run = ms.run(arg[1]) io.stdout:write("open\n"):flush() io.read()' "$top/whole.two" <"$top/hold" >"$top/first" &
  exec 8>"$top/hold"
  for _ in $(seq 100); do [ ! -s "$top/first" ] && sleep 0.05; done
  says 'is in use by another run (process ' finish "$top/whole.two" "${small[@]}"
}
mkfifo "$top/hold"
check 'two runs in one folder are refused' two
exit 0
