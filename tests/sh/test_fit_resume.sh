#!/usr/bin/env bash
# A training by ms.fit that is killed with -9 again and again, in the middle of epochs too, and goes on ends with the weights of one that
# nothing interrupted, to the bit.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT

cat >"$top/train.lua" <<'LUA'
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim
local out, resume = arg[1], arg[2] == "resume"
ms.seed(resume and 5 or 4)
local set = ms.with_seed(1, function() return ms.data.tensors { ms.rand { 600, 20 }, ms.randint(1, 4, { 600 }) } end)
local model = nn.sequential { nn.linear(20, 64), nn.batch_norm1d(64), nn.relu(), nn.dropout(0.2), nn.linear(64, 4) }
ms.fit(model, { train = set:loader { batch = 8, shuffle = true, transform = function(x) return x + x:randn_like() * 0.1 end },
  validation = set, epochs = 3, loss = nn.cross_entropy, optimizer = optim.adam(model:parameters()), out = out, resume = resume,
  checkpoint_every_n_steps = 7, verbose = false,
  on_train_batch_end = function() local t = ms.time() + 0.002; while ms.time() < t do end end })
LUA

train() { # train FOLDER: begin, or go on
  local resume=
  [ ! -f "$1/run.json" ] || resume=resume
  exec "$MASCON" "$top/train.lua" "$1" $resume
}
weights() { "$MASCON" -e 'for name, t in pairs((ms.load(arg[1]))) do if name:find "^model" then print(name, ms.checkpoint and t:double():sum():item(), t:double():square():sum():item()) end end' "$1/last.safetensors" | sort; }

(train "$top/whole") || { echo 'not ok a training from beginning to end'; exit 0; }
echo 'ok a training from beginning to end'

hits=0
for _ in 1 2 3 4 5 6; do
  (train "$top/broken") 2>"$top/log" &
  pid=$!
  sleep 0.4
  kill -9 $pid 2>/dev/null && hits=$((hits + 1))
  wait $pid 2>/dev/null
done
if (train "$top/broken") && [ $hits -gt 0 ] && [ "$(weights "$top/whole" | wc -l)" -gt 5 ] &&
  cmp <(weights "$top/whole") <(weights "$top/broken") && [ "$(wc -l <"$top/broken/metrics.jsonl")" = 3 ]; then
  echo 'ok killed and resumed: the same weights, each epoch once'
else
  echo "not ok killed ($hits) and resumed: the same weights, each epoch once"
  cat "$top/log"
  diff <(weights "$top/whole") <(weights "$top/broken")
fi
exit 0
