#!/usr/bin/env bash
# Experiment 4 on small sets of its own: killed with -9 and resumed it ends with the weights and the figures of a run that nothing
# interrupted, to the bit; and it leaves what it should.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
SCRIPT=scripts/representation_lab.lua NETS='mlp fc conv denoising sparse'
. tests/sh/resume_lib.sh

# Two sets with the names of the real ones; the first labels are those that tell MNIST from Fashion-MNIST.
make_images "$top/data/mnist" 300 120 5041921314 && make_images "$top/data/fashion_mnist" 300 120 9003027255 || exit 1
small=(--data "$top/data" --epochs 2 --mlp-epochs 2 --batch 50 --mlp-batch 50 --mapped 100 --labelled 20 --draws 2)

check 'a run from beginning to end' finish "$top/whole" "${small[@]}"

left() { # what the page of the experiments names
  "$MASCON" -e '
    local s = require("mascon.log").read(arg[1] .. "/summary.json")
    assert(#s.mlp_accuracy == 2 and s.seed == 1 and s.options.batch == 50)
    for _, name in ipairs { "fc_val_mse", "conv_val_mse", "denoising_val_mse", "sparse_val_mse", "l2_mnist", "l2_fashion", "tsne_kl" } do
      assert(s[name] > 0, name)
    end
    for _, name in ipairs { "knn_codes_accuracy", "knn_pixels_accuracy", "anomaly_mnist_correct", "anomaly_fashion_correct" } do
      assert(s[name] >= 0 and s[name] <= 1, name)
    end
    assert(math.abs(s.compression_percent - 100 * (1 - 512 / 784)) < 1e-9)' "$1" || return 1
  for f in mlp_loss fc conv denoising sparse fc_tsne sparse_tsne compression anomaly_box anomaly_pair; do
    [ -s "$1/$f.png" ] || { echo "no $f.png" && return 1; }
  done
}
check 'leaves its figures' left "$top/whole"

extended() { # one epoch, and then a second one in another process
  finish "$top/longer" "${small[@]}" --epochs 1 && finish "$top/longer" "${small[@]}" && same_nets "$top/whole" "$top/longer"
}
some() { # chosen nets only; then the others, too, with the weights that all of them together get
  finish "$top/some" "${small[@]}" --only conv,sparse && "$MASCON" -e '
    local s = require("mascon.log").read(arg[1] .. "/summary.json")
    assert(s.conv_val_mse and s.sparse_val_mse and s.knn_codes_accuracy and s.l2_fashion)
    assert(not s.mlp_accuracy and not s.fc_val_mse and not s.compression_percent and not s.tsne_kl)' "$top/some" || return 1
  [ ! -e "$top/some/fc.safetensors" ] || { echo "fc was trained, too" && return 1; }
  finish "$top/some" "${small[@]}" && same_nets "$top/whole" "$top/some" && left "$top/some"
}
unknown() { # said before anything is done
  ! "$MASCON" "$SCRIPT" --out "$top/none" --only conv,vae 2>"$top/err" && [ ! -e "$top/none" ] &&
    grep -q -- '--only conv,vae: expected all, or some of mlp,fc,conv,denoising,sparse with commas' "$top/err" ||
    { cat "$top/err"; return 1; }
}
collapsed() { # steps that kill every code: told; steps that end in no number: an error; a healthy net: neither
  finish "$top/dead" "${small[@]}" --only conv --epochs 8 --lr 0.3 --warmup 0 >/dev/null
  grep -q 'conv COLLAPSED: .*dead' "$top/log" || { cat "$top/log"; return 1; }
  ! finish "$top/nan" "${small[@]}" --only conv --lr 1000 >/dev/null
  grep -q 'conv: its loss is no number any more in epoch 1' "$top/log" || { cat "$top/log"; return 1; }
  finish "$top/alive" "${small[@]}" --only fc && ! grep COLLAPSED "$top/log"
}
same_nets() { for net in $NETS; do cmp "$1/$net.safetensors" "$2/$net.safetensors" || return 1; done; }
check 'one epoch more: the same weights' extended

check '--only: some nets, the others later' some
check '--only: a net that there is not' unknown
check 'a net whose code is dead, or has no numbers: told' collapsed

killed() { # at moments that fall into the nets
  killed_at '0.3 0.5 0.7' "$top/broken" "${small[@]}" || return 1
  finish "$top/broken" "${small[@]}" && same_result "$top/whole" "$top/broken" && left "$top/broken"
}
check 'killed and resumed: the same weights, figures and metrics' killed
exit 0
