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

make_images "$top/data" 260 40 || exit 1
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
  killed_at '0.3 0.5 0.7 0.9' "$top/broken" "${small[@]}" || return 1
  finish "$top/broken" "${small[@]}" && same_result "$top/whole" "$top/broken" && left "$top/broken"
}
check 'killed and resumed: the same weights, figures and metrics' killed
trials() { sed -E 's/"(seconds|time)":[^,}]*,?//g' "$1/trials.jsonl"; }
same_trials() { diff <(trials "$top/whole") <(trials "$top/broken"); }
check 'and the same trials' same_trials
refused() { # refused STATUS MESSAGE SCRIPT ARGUMENT...: before anything is trained
  local status=$1 message=$2
  shift 2
  fails_with "$status" "$message" "$MASCON" "$@" --data "$top/data" --quick --out "$top/refused"
}
check 'cells that are no pairs of digits' refused 1 '--cells 10,2: expected pairs of digits' scripts/svhn_classifier.lua --cells 10,2
check 'digits that there are not' refused 1 '--digits 0,12: expected all, or numbers from 0 to 9' scripts/one_class.lua --digits 0,12
while read -r script option value expected; do
  check "$script --$option $value" refused 2 "--$option: expected $expected, got '$value'" "scripts/$script.lua" "--$option" "$value"
done <<'END'
svhn_classifier held-out 1 a number above 0 and below 1
svhn_classifier trials 0 an integer from 1 on
svhn_classifier conv-epochs -1 an integer from 0 on
svhn_classifier epochs 0 an integer from 1 on
one_class lr 0 a number above 0
one_class lr nan a number above 0
one_class lr inf a number above 0
one_class k 0 an integer from 1 on
few_labels neighbours 0 an integer from 1 on
cae_anomaly fdr 2 a number above 0 and below 1
cae_anomaly zoom 1 a number from 0 on and below 1
cae_anomaly patience 0 an integer from 1 on
make_corrupted_mnist share 0 a number above 0 and below 1
mnist_autoencoder flip 1.5 a number from 0 to 1
mnist_autoencoder batch 0 an integer from 1 on
END
check 'more labels than there are images' refused 2 '--labelled: expected an integer from 1 to 260, got 1000' scripts/mnist_autoencoder.lua \
  --labelled 1000 --dataset mnist
check 'a batch larger than the images of a class' refused 2 '--batch: expected an integer from 1 to ' scripts/one_class.lua --batch 200 \
  --dataset mnist
check 'a training that diverges' refused 1 'the training has diverged; expected a finite number, as with a smaller --lr (now 1e+30)' \
  scripts/one_class.lua --lr 1e30 --batch 10 --dataset mnist
exit 0
