#!/usr/bin/env bash
# The exercises of experiment 4 on small sets of their own: each runs to its end and leaves its figures; one of them, killed with -9 and
# resumed, ends with the weights and figures of a run that nothing interrupted, to the bit.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
NETS='autoencoder scratch_1 tuned_1 scratch_2 tuned_2'
. tests/sh/resume_lib.sh

# Digits with the name and the first labels of MNIST, brighter for greater labels; photographs of three kinds, each of its own colour.
"$MASCON" -e '
  ms.seed(7)
  for _, part in ipairs { { "train", 600 }, { "t10k", 200 } } do
    local n = part[2]
    local y = ms.randint(0, 9, { n })
    for i = 1, 10 do y[i] = tonumber(("5041921314"):sub(i, i)) end
    local x = (ms.rand { n, 28, 28 } * 255 * (y:float():reshape { n, 1, 1 } / 9)):to "u8"
    assert(os.execute("mkdir -p " .. arg[1] .. "/mnist " .. arg[1] .. "/scenes8/all_64x64"))
    ms.data.write_idx(arg[1] .. "/mnist/" .. part[1] .. "-images-idx3-ubyte", x)
    ms.data.write_idx(arg[1] .. "/mnist/" .. part[1] .. "-labels-idx1-ubyte", y:to "u8")
  end
  for c, kind in ipairs { "coast", "forest", "street" } do
    for i = 1, 40 do
      local x = ms.rand { 3, 64, 64 } * 0.5
      x[c] = x[c] + 0.5
      ms.image.save(("%s/scenes8/all_64x64/%s_%d.png"):format(arg[1], kind, i), x)
    end
  end' "$top/data" || exit 1

# exercise NAME "FIGURES" ARGUMENTS...: scripts/lab_NAME.lua has the numbers in its summary, finite ones, and its pictures are there.
exercise() {
  local name=$1 keys=$2 pictures=$3 picture
  shift 3
  "$MASCON" "scripts/lab_$name.lua" --data "$top/data" --quick --out "$top/$name" "$@" || return 1
  "$MASCON" -e '
    local s = require("mascon.log").read(arg[1] .. "/summary.json")
    for key in arg[2]:gmatch "%S+" do
      local v = s[key]
      assert(type(v) == "number" and v - v == 0, ("%s: %s"):format(key, tostring(v)))
      assert(not key:find "accuracy" and not key:find "auroc" or v >= 0 and v <= 1, key)
    end' "$top/$name" "$keys" || return 1
  for picture in $pictures; do
    [ -s "$top/$name/$picture.png" ] || { echo "no $picture.png" && return 1; }
  done
}
told_apart() { # three colours are no riddle
  exercise scenes 'accuracy loss' 'accuracy confusion' --epochs 6 &&
    "$MASCON" -e 'assert(require("mascon.log").read(arg[1]).accuracy > 0.6)' "$top/scenes/summary.json"
}
check 'photographs are told apart' told_apart
check 'representations are compared' exercise compare 'pixels_k1_accuracy fc_k1_accuracy sparse_k10_accuracy combined_k1_accuracy' \
  'combined neighbours table'
check 'an autoencoder of residual blocks' exercise resnet \
  'auroc auroc_both auroc_error auroc_near auroc_mahalanobis auroc_isolation auroc_ratio told_by_error' \
  'reconstructions most_normal auroc' --epochs 1 --kinds forest,street
check 'a logger of our own' exercise logger 'accuracy loss logged_lines' ''
drawn() { grep -q 'autoencoder | val_loss .* step 6$' "$top/logger/log.txt" && grep -q '[▁█]' "$top/logger/log.txt"; }
check 'it has drawn the curves' drawn

SCRIPT=scripts/lab_finetune.lua
small=(--data "$top/data" --quick --labelled 100)
killed() { # at moments that fall into the nets
  local hits=0 at rc
  exercise finetune 'tuned_accuracy scratch_accuracy autoencoder_loss tuned_better_draws' 'accuracy draws confusion' \
    --labelled 100 || return 1
  for at in 0.3 0.5 0.7; do
    run_killed $at "$top/broken" "${small[@]}"
    rc=$?
    [ $rc -ne 2 ] || return 1
    [ $rc -ne 0 ] || hits=$((hits + 1))
  done
  [ $hits -gt 0 ] || { echo 'no kill hit' && return 1; }
  finish "$top/broken" "${small[@]}" && same_result "$top/finetune" "$top/broken"
}
check 'fine-tuning, killed and resumed: the same weights, figures and metrics' killed

# The nets of the laboratory itself, from its folder.
from() {
  "$MASCON" scripts/lab_compare.lua --data "$top/data" --quick --out "$top/again" --from "$top/compare" >"$top/log" || return 1
  grep -q "sparse: as after 2 epochs in $top/compare" "$top/log" &&
    "$MASCON" -e '
      local read = require("mascon.log").read
      local a, b = read(arg[1]), read(arg[2])
      for _, key in ipairs { "pixels_k1_accuracy", "fc_k1_accuracy", "sparse_k3_accuracy" } do assert(a[key] == b[key], key) end
    ' "$top/compare/summary.json" "$top/again/summary.json"
}
check 'nets of another run are compared likewise' from
exit 0
