#!/bin/bash
# MASCON_COMPILE=check and =off, and Ctrl-C in a replay: what the tests inside one process cannot show (tests/lua/test_compile*.lua are the others).
program=${MASCON:-$PWD/${BUILD:-build}/mascon}
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work" || exit 1
failed=0

# expect NAME CODE PATTERN...: the last run ended with CODE, and its output has each of the patterns.
expect() {
  local name=$1 want=$2 ok=1
  shift 2
  [ "$code" = "$want" ] || ok=
  for p in "$@"; do grep -q -- "$p" all || ok=; done
  if [ $ok ]; then
    echo "ok $name"
  else
    echo "not ok $name"
    echo "# expected code $want and: $*"
    echo "# got code $code and:"
    sed 's/^/# /' all
    failed=1
  fi
}
run() {
  "$program" "$@" >all 2>&1 </dev/null
  code=$?
}

cat >late.lua <<'S'
local ms = require "mascon"
local set, ran = { level = 1 }, 0
local deep = { { { { { set } } } } }
local step = ms.compile(function(x)
  ran = ran + 1
  return (x * deep[1][1][1][1][1].level):sum()
end)
for i = 1, 60 do
  if i == 50 then set.level = 2 end
  step(ms.ones { 2 })
end
print("ran " .. ran)
S
run late.lua
expect a_late_change_is_not_seen_in_a_replay 0 '^ran 3$'
MASCON_COMPILE=check run late.lua
expect a_late_change_is_found_by_check 1 'mul at late.lua:6' 'was 1 in call 2 and 2 in call 50'
MASCON_COMPILE=off run late.lua
expect off_runs_all_of_it 0 '^ran 60$'
MASCON_COMPILE=chek run late.lua
expect another_word_is_an_error 1 "MASCON_COMPILE: expected on, off or check, got 'chek'"

# What lies five tables deep is not looked at again (README says so); a captured number, and one that is compared, are.
cat >equal.lua <<'S'
local ms = require "mascon"
local step = ms.compile(function(x, epoch)
  if epoch == 7 then return x * 2 end
  return x * 1
end)
for i = 1, 10 do io.write(step(ms.ones { 2 }, i)[1]:item(), " ") end
S
for way in on check; do
  MASCON_COMPILE=$way run equal.lua
  expect a_number_that_was_compared_$way 0 '^1 1 1 1 1 1 2 1 1 1 $'
done

# On a device that works later the wait that sees a wrong position tells it, also the waits of the comparison.
cat >later.lua <<'S'
local ms = require "mascon"
local w = ms.ones { 3 }
local step = ms.compile(function(i) w:add_(w:index_select(1, i)) end)
for _ = 1, 5 do step(ms.tensor({ 1, 2, 3 }, { dtype = "i64" })) end
print(pcall(step, ms.tensor({ 1, 2, 4 }, { dtype = "i64" })))
print(w[1]:item())
S
case ${BUILD:-build} in /*) lib=$BUILD/tests ;; *) lib=$here/${BUILD:-build}/tests ;; esac
MASCON_DEVICE=lazy MASCON_LIB=$lib MASCON_COMPILE=check run later.lua
expect a_wrong_position_is_told_by_the_call_that_checks 0 '^false.*index_select at later.lua:3: index_select: index\[3\] = 4, expected 1..3' '^32.0$'

cat >result.lua <<'S'
local ms = require "mascon"
local set = { n = 0 }
local deep = { { { { { set } } } } }
local step = ms.compile(function(x) return x, deep[1][1][1][1][1].n end)
for i = 1, 10 do
  if i == 8 then set.n = 5 end
  step(ms.ones { 2 })
end
S
MASCON_COMPILE=check run result.lua
expect a_result_that_changes 1 'result 2 was 0 in call 2 and 5 in call 8'

# A training step with everything that has a state: checked at each call, it runs to the end, and to the same losses.
cat >train.lua <<'S'
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim
ms.seed(1)
local model = nn.sequential { nn.linear(6, 8), nn.batch_norm(8), nn.relu(), nn.dropout(0.3), nn.linear(8, 3) }
local adam = optim.adam(model:parameters(), { lr = 0.01 })
local sum = ms.zeros {}
local step = ms.compile(function(x, y, noise)
  local loss = nn.cross_entropy(model(x + ms.randn(x.shape) * noise), y)
  adam:zero_grad()
  loss:backward()
  adam:step()
  ms.no_grad(function() sum:add_(loss) end)
  x:zero_()
  return loss, noise * 2
end)
local add = ms.compile(function(x) model(x):sum():backward() end)
for i = 1, 20 do
  adam.lr = 0.01 / i
  local loss, twice = step(ms.randn { 5, 6 }, ms.randint(1, 3, { 5 }), 1 / i)
  print(("%.17g %.17g %.17g"):format(loss:item(), twice, model:parameters()[1].grad:sum():item()))
  if i % 4 == 0 then add(ms.ones { 5, 6 }) end
  model:eval()
  ms.no_grad(function() print(("%.17g"):format(model(ms.ones { 2, 6 }):sum():item())) end)
  model:train()
end
print(("%.17g %s"):format(sum:item(), table.concat({ ms.rng_state() }, " ")))
S
MASCON_COMPILE=off run train.lua
cp all want
for way in on check; do
  MASCON_COMPILE=$way run train.lua
  if [ $code = 0 ] && cmp -s all want; then
    echo "ok training_with_$way"
  else
    echo "not ok training_with_$way"
    diff all want | head -n 5 | sed 's/^/# /'
    failed=1
  fi
done

# Other tests once more, each replay checked. Those that count how often Lua runs may fail; none may find a difference.
for tests in compile compile_training; do
  (cd "$here" && MASCON_COMPILE=check LUA_PATH="tests/lua/?.lua;;" "$program" tests/lua/run.lua tests/lua/test_$tests.lua) >all 2>&1 </dev/null
  if grep -q 'compile: ' all || ! grep -q '^Ran ' all; then
    echo "not ok checked_$tests"
    sed 's/^/# /' all
    failed=1
  else
    echo "ok checked_$tests"
  fi
done

# Ctrl-C while replaying: the script ends with 130; caught by pcall, the step goes on as if nothing had been.
cat >forever.lua <<'S'
local ms = require "mascon"
local w = ms.zeros { 1000 }
local step = ms.compile(function(x)
  w:add_(x)
  return (w * 2):sum()
end)
local x = ms.ones { 1000 }
for _ = 1, 4 do step(x) end
local n = 4
local function loop()
  while true do
    step(x)
    n = n + 1
    if n == 5 then io.open("started", "w"):close() end
  end
end
if arg[1] then
  local _ <close> = setmetatable({}, { __close = function()
    w:zero_()
    step(x)
    print("then", step(x):item(), step:report():match "operations replayed")
  end })
  pcall(loop) -- Ctrl-C is not to be kept: it comes again, and whoever cleans up has a little time
  print "never"
else
  loop()
end
S
interrupt() {
  rm -f started
  setsid "$program" forever.lua "$@" >all 2>&1 </dev/null &
  local pid=$!
  for _ in $(seq 200); do [ -e started ] && break; sleep 0.05; done
  kill -INT $pid
  wait $pid
  code=$?
}
interrupt
expect interrupted 130 'interrupted'
interrupt caught
expect interrupted_and_caught 130 'interrupted' '^then	4000.0	operations replayed$'
if grep -q never all; then echo 'not ok interrupted_and_kept' && failed=1; fi
exit $failed
