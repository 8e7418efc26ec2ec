#!/usr/bin/env bash
# Experiment 3 on a few states of its own: the data are made, all that the script promises is left behind, and killed with -9 and resumed it
# ends with the weights and figures of a run that nothing interrupted, to the bit.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
SCRIPT=scripts/wgan_anomaly.lua NETS="model generator classifier_ball classifier_normal"
. tests/sh/resume_lib.sh

make_states() {
  "$MASCON" scripts/make_stratosphere.lua --states 40 --rate 0.1 --size 64 --out "$top/data" || return 1
  [ "$(wc -l <"$top/data/truth.csv")" -eq 5 ] && [ -s "$top/data/states.png" ]
}
check 'forty states, four of them warmings' make_states
maps() {
  "$MASCON" -e '
    local pv, height, mask = ms.load(arg[1] .. "/pv.npy"), ms.load(arg[1] .. "/height.npy"), ms.load(arg[1] .. "/mask.npy")
    assert(table.concat(pv.shape, " ") == "40 64 64" and pv.shape == height.shape and table.concat(mask.shape, " ") == "64 64")
    assert(pv:min():item() >= 0 and pv:max():item() <= 1 and mask:mean():item() > 0.7 and mask:mean():item() < 0.8)
    assert((pv * (1 - mask)):abs():max():item() == 0, "something lies outside of the mask")
    local bad = {}
    for line in io.lines(arg[1] .. "/truth.csv") do bad[tonumber(line:match "^%d+") or 0] = true end
    local middle = mask * 0
    middle[{ { 23, 42 }, { 23, 42 } }] = 1
    local inside = ((pv * middle):sum { 2, 3 } / pv:sum { 2, 3 }):totable()
    local least, most = 1, 0
    for i, v in ipairs(inside) do
      if bad[i] then most = math.max(most, v) else least = math.min(least, v) end
    end
    assert(least > 0.15 and most < 0.5, ("near the pole: %g of a usual state at least, %g of a warming at most"):format(least, most))' "$top/data"
}
check 'fields of 0 to 1 north of 40 N' maps

small=(--compare 1 --data "$top/data" --epochs 2 --batch 4 --validation 0.7 --classifier-epochs 1 --classifier-batches 2 --classifier-batch 8
  --latent-steps 2)
check 'a run from beginning to end' finish "$top/whole" "${small[@]}"
files() {
  for f in histories samples real_over_fake fakes_vorticity fakes_height constraints samplers classifier_loss probabilities most_anomalous \
    most_normal latent_search; do
    [ -s "$top/whole/$f.png" ] || { echo "no $f.png" && return 1; }
  done
  "$MASCON" -e '
    local s = require("mascon.log").read(arg[1] .. "/summary.json")
    for _, name in ipairs { "critic_loss", "wasserstein", "chi_q98", "inner", "outer", "classifier_loss", "flagged", "auroc_classifier",
      "auroc_critic", "auroc_latent", "auroc_classifier_ball", "auroc_classifier_normal" } do
      assert(type(s[name]) == "number", name)
    end
    assert(math.abs(s.chi_q98 - 12.7657014145933) < 1e-9)
    assert(s.inner + s.outer == 10000 and math.abs(s.inner - 5000) < 150, s.inner) -- three sigma
    local g = ms.load(arg[1] .. "/generator.safetensors")
    assert(next(g), "the generator alone")' "$top/whole"
}
check 'figures, summary, a generator by itself' files

if [ -n "${SAN:-}" ]; then
  echo 'skipped: kills and resumed runs take minutes under sanitizers; without them they are run'
else
  check 'killed again and again' killed_at '1 1.5 2 3' "$top/killed" "${small[@]}"
  check 'going on after kills' finish "$top/killed" "${small[@]}"
  check 'it ends with the same bits' same_result "$top/whole" "$top/killed"
fi

check 'a larger size than the data' says '--size 128: the fields are 64 x 64' "$MASCON" "$SCRIPT" --out "$top/no" --data "$top/data" --size 128
check 'no data' says 'make_stratosphere.lua makes it' "$MASCON" "$SCRIPT" --out "$top/no" --data "$top/nowhere"
check 'a batch larger than the data' fails_with 2 '--batch: expected an integer from 1 to 12' "$MASCON" "$SCRIPT" --out "$top/no" --data "$top/data" --batch 64 --validation 0.7
# What lies behind the first states that are looked at in one piece counts as well.
"$MASCON" -e 'local x = ms.zeros { 70, 64, 64 }
  x[{ 70, 3, 3 }] = 1.5
  for _, name in ipairs { "pv", "height" } do ms.data.write_npy(arg[1] .. "/" .. name .. ".npy", x) end
  ms.data.write_npy(arg[1] .. "/mask.npy", ms.ones { 64, 64 })' "$(mkdir "$top/bad" && echo "$top/bad")"
check 'values beyond 1 in the last state' says 'expected values from 0 to 1, got 0 to 1.5 in states 65 to 70' "$MASCON" "$SCRIPT" --out "$top/no" \
  --data "$top/bad"
mkdir "$top/other" && cp "$top"/data/*.npy "$top/other" && printf 'position,kind\n41,split\n' >"$top/other/truth.csv"
check 'the truth of another set' says 'line 2: expected a position, 1..40, got 41' "$MASCON" "$SCRIPT" --out "$top/no2" --data "$top/other" "${small[@]:4}"
