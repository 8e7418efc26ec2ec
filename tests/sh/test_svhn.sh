#!/usr/bin/env bash
# Experiment 5 on a small set of its own: killed with -9 and resumed it ends with the weights, the trials and the figures of a run that
# nothing interrupted, to the bit; and it leaves what it should.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
SCRIPT=scripts/svhn_classifier.lua NETS='one_hidden two_hidden batch_norm halved_rate convolutional'
. tests/sh/resume_lib.sh

check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$top/out" 2>&1; then
    echo "ok $name"
  else
    echo "not ok $name"
    cat "$top/out"
  fi
}

mkdir "$top/data"
"$MASCON" -e '
  ms.seed(7)
  for _, part in ipairs { { "train", 260 }, { "t10k", 40 } } do
    local n = part[2]
    local y = ms.randint(0, 9, { n })
    local x = (ms.rand { n, 28, 28 } * 255 * (y:float():reshape { n, 1, 1 } / 9)):to "u8"
    ms.data.write_idx(arg[1] .. "/" .. part[1] .. "-images-idx3-ubyte", x)
    ms.data.write_idx(arg[1] .. "/" .. part[1] .. "-labels-idx1-ubyte", y:to "u8")
  end' "$top/data" || exit 1
small=(--data "$top/data" --dataset mnist --epochs 2 --batch 50 --trials 5 --trial-epochs 1 --conv-epochs 2)

check 'a run from beginning to end' finish "$top/whole" "${small[@]}"

left() { # what the page of the experiments names
  "$MASCON" -e '
    local log = require "mascon.log"
    local s, trials = log.read(arg[1] .. "/summary.json"), log.read_lines(arg[1] .. "/trials.jsonl")
    for _, net in ipairs { "one_hidden", "two_hidden", "batch_norm", "halved_rate", "convolutional" } do
      assert(s.val_accuracy[net] >= 0 and s.val_accuracy[net] <= 1)
    end
    local sum, best = 0, 0
    for _, row in ipairs(s.confusion) do for _, n in ipairs(row) do sum = sum + n end end
    for i, row in ipairs(trials) do
      assert(row.trial == i and row.optimizer and row.lr and row.depth and row.width and row.batch_norm ~= nil)
      best = math.max(best, row.val_accuracy)
    end
    assert(#s.confusion == 10 and #s.confusion[1] == 10 and sum == 52, sum)
    assert(#trials == 5 and s.best_trial.val_accuracy == best)
    assert(s.test_accuracy >= 0 and s.seed == 1 and s.options.batch == 50)' "$1" || return 1
  for f in loss confusion trials; do [ -s "$1/$f.png" ] || { echo "no $f.png" && return 1; }; done
}
check 'leaves its figures' left "$top/whole"

killed() { # at moments that fall into the nets and into the trials
  local hits=0 at rc
  for at in 0.3 0.5 0.7 0.9; do
    run_killed $at "$top/broken" "${small[@]}"
    rc=$?
    [ $rc -ne 2 ] || return 1
    [ $rc -ne 0 ] || hits=$((hits + 1))
  done
  [ $hits -gt 0 ] || { echo 'no kill hit' && return 1; }
  finish "$top/broken" "${small[@]}" && same_result "$top/whole" "$top/broken" && left "$top/broken"
}
check 'killed and resumed: the same weights, figures and metrics' killed
trials() { sed -E 's/"(seconds|time)":[^,}]*,?//g' "$1/trials.jsonl"; }
same_trials() { diff <(trials "$top/whole") <(trials "$top/broken"); }
check 'and the same trials' same_trials
refused() { # refused MESSAGE SCRIPT ARGUMENT...: before anything is trained
  local message=$1 out
  shift
  ! out=$("$MASCON" "$@" --data "$top/data" --quick --out "$top/refused" 2>&1) && grep -qF -e "$message" <<<"$out" && return
  echo "$out"
  return 1
}
check 'cells that are no pairs of digits' refused '--cells 10,2: expected pairs of digits' scripts/svhn_classifier.lua --cells 10,2
check 'digits that there are not' refused '--digits 0,12: expected all, or numbers from 0 to 9' scripts/one_class.lua --digits 0,12
exit 0
