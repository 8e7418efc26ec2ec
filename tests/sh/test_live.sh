#!/usr/bin/env bash
# Changing a program while it runs: live options (mascon set), edited functions (mascon watch, ms.reload), and looking at runs (ps, plot).
# The scripts wait at each epoch for a file `go.N` (at most 20 s), so that what happens does not hang on the machine's speed.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$top"' EXIT
. tests/sh/resume_lib.sh
cd "$top" || exit 1
export MASCON_THREADS=1

cat >gate.lua <<'L'
local system = require "mascon.system"
-- Say that the steps of epoch n are over, and wait until the test lets it go on.
return function(n)
  local f = assert(io.open("at." .. n, "w"))
  f:close()
  for _ = 1, 2000 do
    if system.kind("go." .. n) then break end
    system.sleep(0.01)
  end
end
L
cat >part.lua <<'L'
local M = {}
local function square(v) return v:pow(2) end
function M.loss(v) return square(v):mean() end
return M
L
cat >train.lua <<'L'
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim
local gate, part = require "gate", require "part"
local o = ms.args.standard({ epochs = 6, lr = 0.01, shift = 0.0, out = "runs/a" })
ms.seed(o.seed)
local run = ms.run(o.out, { options = o, resume = o.resume })
local Net = nn.class "Net"
function Net:init() self.inner = nn.linear(4, 1) end
function Net:forward(v) return self.inner(v) end
local model = Net()
local adam = optim.adam(model:parameters(), { lr = o.lr })
local x = ms.randn { 32, 4 }
local y = x:sum(2):reshape { 32, 1 }
local kept, calls = ms.compile(function(a) return a * 2 end), 0
local step = ms.compile(function(a, b)
  local loss = part.loss(model(a + o.shift) - b)
  adam:zero_grad() loss:backward() adam:step()
  return loss
end)
local function note(v) return v end
local at = run:load("net", { model = model, adam = adam })
run:rewind(at and at.epoch or 0)
run:live("lr", adam)
run:live "shift"
for epoch = (at and at.epoch or 0) + 1, o.epochs do
  local mean, last = ms.meter.mean(), nil
  for _ in ms.progress(5) do
    last = step(x + ms.randn { 32, 4 } * 0.01, y)
    mean:add(last)
    kept(x)
  end
  gate(epoch)
  run:epoch { epoch = epoch, step = 5 * epoch, loss = note(mean:value()), last = last:item(), lr = adam.lr }
  run:save("net", { model = model, adam = adam, epoch = epoch })
end
print("kept", kept:report():match "replay" and "replayed")
run:summary { loss = 1 }
run:close()
L
cp train.lua train.first && cp part.lua part.first

lines() { "$MASCON" -e 'local log, key = require "mascon.log", arg[2]
  for _, row in ipairs(log.read_lines(arg[1] .. "/metrics.jsonl")) do print(("%.17g"):format(row[key])) end' "$@"; }
at() { for _ in $(seq 2000); do [ -e "at.$1" ] && return; sleep 0.01; done; echo "the script does not come to epoch $1"; return 1; }
go() { touch $(seq -f 'go.%g' "$1" "${2:-$1}"); }
fresh() { rm -f at.* go.*; cp train.first train.lua; cp part.first part.lua; }
edit() { sed "$2" "$1" >new && ! cmp -s new "$1" && mv new "$1"; } # as editors do: a file of its own, which takes the name
whole() { # whole OUT ARGUMENTS...: a run that nobody waits for
  fresh
  go 1 6
  "$MASCON" train.lua --out "$@"
}
check 'a run that nothing happens to' whole runs/plain

set_live() {
  fresh
  "$MASCON" train.lua --out runs/set >said 2>&1 &
  go 1 && at 2 || return 1
  "$MASCON" set runs/set lr=0.001 shift=0.5 --wait 20 >answer 2>&1 &
  local asked=$!
  for _ in $(seq 500); do [ -s runs/set/set.jsonl ] && break; sleep 0.01; done
  go 2 6
  wait $asked || { cat answer; return 1; }
  wait
  cat answer said
  grep -qx 'lr: 0.01 -> 0.001 at step 10' answer && grep -q 'shift: 0.0 -> 0.5 at step' answer || return 1
  [ "$(lines runs/set lr | tail -n 1)" = 0.001 ] && grep -q '"name":"lr","to":0.001' runs/set/changes.jsonl || return 1
  [ "$(lines runs/plain loss | head -n 2)" = "$(lines runs/set loss | head -n 2)" ] || return 1
  awk -v a="$(lines runs/plain loss | tail -n 1)" -v b="$(lines runs/set loss | tail -n 1)" 'BEGIN { exit !(b > 1.5 * a) }' # the step sees it
}
check 'live options change at the end of a step, in a compiled one too' set_live
refused() {
  says 'batch is not live in runs/set: its script reads it when it begins' "$MASCON" set runs/set batch=3 &&
    says 'has no option shfit; did you mean shift?; live are: lr, shift' "$MASCON" set runs/set shfit=3 &&
    says 'does not run: it is finished' "$MASCON" set runs/set lr=3 && says 'it has declared none live' "$MASCON" set runs/none lr=3 &&
    fails_with 2 'expected NAME=VALUE, got' "$MASCON" set runs/set lr && says 'no run in' "$MASCON" set nowhere lr=1 &&
    [ "$("$MASCON" set runs/set)" = "$(printf 'lr = 0.001\nshift = 0.5')" ]
}
"$MASCON" -e 'local run = ms.run("runs/none", { options = { lr = 1 } }) run:epoch { epoch = 1, step = 1, loss = 2 }'
check 'what is not live is refused, with the reason' refused
again() { # a run that goes on has what was set last; a value that is not its kind's is refused by the run
  fresh
  "$MASCON" train.lua --out runs/set --epochs 8 --resume >said 2>&1 &
  at 7 || return 1
  "$MASCON" set runs/set lr=-1 >answer 2>&1 &
  local asked=$!
  for _ in $(seq 500); do [ "$(wc -l <runs/set/set.jsonl)" -ge 2 ] && break; sleep 0.01; done
  go 7 8
  wait $asked && return 1
  wait
  cat answer said
  grep -q 'refused: --lr: expected a number above 0, got' answer && grep -q 'run: --lr is 0.001, as it was set' said &&
    [ "$(lines runs/set lr | tail -n 1)" = 0.001 ]
}
check 'a run that goes on has what was set' again

same_text() { # saved again as it was, in both ways of saving, and with a comment more: nothing is swapped, the bits are the same
  fresh
  "$MASCON" watch train.lua --out runs/same >said 2>&1 &
  go 1 && at 2 && cp train.lua new && mv new train.lua && go 2 && at 3 && cat train.first >train.lua && touch part.lua && go 3 && at 4 || return 1
  edit train.lua 's/^local function note/-- a remark\n\n&/' && go 4 6
  wait
  cat said
  cmp runs/plain/net.safetensors runs/same/net.safetensors && [ "$(lines runs/plain loss)" = "$(lines runs/same loss)" ] &&
    [ ! -e runs/same/changes.jsonl ] && grep -q "replayed" said
}
check 'an edit that changes nothing leaves all bits as they are' same_text

edited() {
  fresh
  "$MASCON" watch train.lua --out runs/edit >said 2>&1 &
  at 1 && edit train.lua 's/ note(v) return v end/ note(v) return 100 + v end/' && go 1 && at 2 || return 1
  edit part.lua 's/square(v):mean()/square(v):mean() * 1.0/' && go 2 && at 3 || return 1
  edit train.lua 's/^function Net:forward.*/local scale = 3.0\nlocal function thrice(v) return v * scale end\nfunction Net:forward(v) return thrice(self.inner(v)) end\nfunction Net:more() return 1 end/' && go 3 && at 4 || return 1
  edit train.lua 's/^local function note(v)/local function note(v, w/' && go 4 && at 5 && edit train.lua 's/^local x = .*/local x = ms.randn { 64, 4 }/; s/note(v, w/note(v)/' && go 5 6
  wait
  cat said runs/edit/changes.jsonl
  lines runs/edit loss >loss
  paste <(lines runs/plain last) <(lines runs/edit last) | awk 'NR <= 3 && ($1 - $2) ^ 2 > 1e-10 { exit 1 }' || return 1 # the loss goes on
  grep -q '^10[0-9]' <(sed -n 2p loss) && grep -q '^[0-9]\{1,2\}\.' <(sed -n 1p loss) || return 1
  grep -q 'train.lua, step 5: swapped note$' said && grep -q 'part.lua, step 10: swapped M.loss; 1 compiled step is recorded anew' said || return 1
  grep -q 'train.lua, step [0-9]*: swapped Net:forward; new: .*thrice.*Net:more; 1 compiled step is recorded anew' said || return 1
  grep -q "train.lua: the old functions stay: train.lua:2[0-9]: " said && grep -q 'line 1[0-9] at the top of the script has run already' said || return 1
  grep -q '"diff":"--- train.lua.*-local function note(v) return v end' runs/edit/changes.jsonl && grep -q replayed said
}
check 'edited functions are swapped in, the rest stays, and each swap is logged' edited

half_written() {
  fresh
  "$MASCON" watch train.lua --out runs/half >said 2>&1 &
  at 1 || return 1
  : >train.lua && go 1 && at 2 && head -c 700 train.first >train.lua && go 2 && at 3 && sed 's/return v end/return v + 7 end/' train.first >train.lua && go 3 6
  wait
  cat said
  [ "$(lines runs/plain loss | head -n 3)" = "$(lines runs/half loss | head -n 3)" ] && grep -q 'swapped note$' said
}
check 'half a file swaps nothing, and the whole one then does' half_written

reload() {
  cat >r.lua <<'L'
local ms = require "mascon"
local n = 1
local function f() n = n + 1 return n end
local function save(s) local h <close> = io.open("r.lua", "w") h:write(s) end
local h = io.open "r.lua"
local s = h:read "a"
h:close()
f()
assert(#ms.reload() == 0)
save((s:gsub("n %+ 1 return n", "n + 10 return n")))
local got = ms.reload()
assert(#got == 1 and got[1] == "f" and f() == 12, "state is kept")
save "local = 3"
local none, why = ms.reload()
assert(none == nil and why:find("r.lua:1:", 1, true) and f() == 22)
L
  "$MASCON" r.lua
}
check 'ms.reload()' reload

looked_at() {
  fresh
  "$MASCON" train.lua --out elsewhere >said 2>&1 &
  go 1 && at 2 || return 1
  (sleep 30 & echo $! >sleeper; exec "$MASCON" -e 'ms.run("runs/killed", { options = { epochs = 9 } }):epoch { epoch = 4, loss = 0.5 } io.read()' <&8) 8<>hold >/dev/null 2>&1 &
  local victim=$!
  for _ in $(seq 500); do grep -q epoch runs/killed/metrics.jsonl 2>/dev/null && break; sleep 0.01; done
  kill -9 $victim
  wait $victim 2>/dev/null
  kill "$(cat sleeper)"
  "$MASCON" -e 'ms.run("runs/failed"):epoch { epoch = 1, val_loss = 2 } error "no"' 2>/dev/null
  mkdir copied && grep -v nothing runs/plain/metrics.jsonl >copied/metrics.jsonl
  "$MASCON" ps >all
  "$MASCON" ps copied >copies
  "$MASCON" plot runs/plain runs/edit copied/metrics.jsonl --metric last --height 12 >curves
  go 2 6
  wait
  cat all copies curves
  grep -q "^$top/elsewhere  *running  *epoch 1 of 6  *loss .*process [0-9]*, for " all && grep -q '^runs/killed  *died  *epoch 4 of 9  *loss 0.5' all &&
    grep -q '^runs/failed  *failed' all && grep -q '^runs/plain  *finished  epoch 6 of 6' all && grep -q '^copied  *unfinished  epoch 6' copies &&
    grep -q '^[*] runs/plain  *last .* least .* at step 30' curves && grep -q '^    train.lua edited at step 5: note' curves &&
    [ "$(head -n 13 curves | grep -c '[*o+]')" -ge 6 ] && says "the figure 'lossy'; did you mean loss?; there is last, loss, lr" "$MASCON" plot runs/plain --metric lossy
}
mkfifo hold
check 'ps and plot' looked_at
exit 0
