#!/usr/bin/env bash
# Experiment 2 on a small set of its own: the data set is made, all that the script promises is left behind, and killed with -9 and resumed
# it ends with the weights and figures of a run that nothing interrupted, to the bit.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
SCRIPT=scripts/cae_anomaly.lua NETS="model best"
. tests/sh/resume_lib.sh

mkdir "$top/data"
"$MASCON" -e '
  ms.seed(7)
  for _, part in ipairs { { "train", 260 }, { "t10k", 80 } } do
    local n = part[2]
    local at = ms.rand({ n, 1, 1, 2 }) * 8 + 9 -- a bright disc somewhere near the middle
    local i = ms.arange(1, 28)
    local x = ((i:reshape { 1, 28, 1 } - at[{ {}, {}, {}, 1 }]):pow(2) + (i:reshape { 1, 1, 28 } - at[{ {}, {}, {}, 2 }]):pow(2)):lt(30)
    ms.data.write_idx(arg[1] .. "/" .. part[1] .. "-images-idx3-ubyte", (x:float() * 255):to "u8")
    ms.data.write_idx(arg[1] .. "/" .. part[1] .. "-labels-idx1-ubyte", ms.zeros({ n }):to "u8")
  end' "$top/data" || exit 1
make_set() {
  "$MASCON" scripts/make_corrupted_mnist.lua --data "$top/data" --dataset mnist --share 0.1 --out "$top/data/mnist_corrupted.npz" || return 1
  [ "$(wc -l <"$top/data/mnist_corrupted_truth.csv")" -eq 9 ] && [ -s "$top/data/mnist_corrupted.png" ]
}
check 'a data set with 8 spoilt images of 80' make_set
small=(--data "$top/data" --epochs 2 --batch 50 --validation 60 --threshold quantile)

check 'a run from beginning to end' finish "$top/whole" "${small[@]}"
files() {
  for f in augmented before before_pixels loss scores scores_in_order training_pair anomalies; do
    [ -s "$top/whole/$f.png" ] || { echo "no $f.png" && return 1; }
  done
  [ "$(wc -c <"$top/whole/anomalies.txt")" -eq 80 ] && grep -qx '[01]*' "$top/whole/anomalies.txt"
}
check 'the figures, and a character for each test image' files
figures() {
  "$MASCON" -e '
    local s = require("mascon.log").read(arg[1] .. "/summary.json")
    for _, name in ipairs { "val_loss", "epochs_run", "threshold", "flagged", "precision", "recall", "f1", "auroc" } do
      assert(type(s[name]) == "number", name)
    end
    assert(s.epochs_run == 2 and s.flagged == 2)' "$top/whole"
}
check 'summary.json has the figures of the page' figures

killed() {
  killed_at '0.6 1.4 2.2' "$top/broken" "${small[@]}" || return 1
  finish "$top/broken" "${small[@]}" && same_result "$top/whole" "$top/broken"
}
check 'killed and resumed: the same weights, figures and metrics' killed
again() { finish "$top/whole" "${small[@]}" && cmp "$top/whole/anomalies.txt" "$top/broken/anomalies.txt"; }
check 'resumed at its end it says the same' again
check '--quick hears --validation' fails_with 2 '--validation: expected an integer from 1 to 259, got 300' \
  "$MASCON" scripts/cae_anomaly.lua --data "$top/data" --quick --validation 300 --out "$top/none"
missing() { "$MASCON" scripts/cae_anomaly.lua --data "$top/nowhere" --out "$top/none" 2>&1 | grep -q 'make_corrupted_mnist'; }
if [ ! -e runs/mnist_corrupted.npz ] && [ ! -e ../shared/data/mnist_corrupted.npz ] && [ -z "${MASCON_DATA:-}" ]; then
  check 'without the file it says what makes it' missing
fi
exit 0
