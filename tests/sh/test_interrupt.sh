#!/bin/bash
# Ctrl-C (SIGINT) ends a script soon, whatever it is doing, with code 130; and infinite recursion is told in a second.
# Each case prints "go" and then does something for ever, or for much too long.
MASCON=${MASCON:-build/mascon}
soon=${SAN:+15000} soon=${soon:-5000} # ms from the signal to the end: 300 on a quiet machine, and this may not be one
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
verdict() { # verdict NAME PROBLEM
  if [ -z "$2" ]; then echo "ok $1"; else
    echo "not ok $1"
    echo "# $2"
    failed=1
  fi
}
ms() { date +%s%3N; }

# interrupt NAME CODE [PATTERN]: the end comes soon after the signal, with code 130 and the message.
interrupt() {
  mkfifo "$work/in" 2>/dev/null
  printf '%s\n' "$2" >"$work/script.lua"
  timeout --foreground -s KILL 30 "$MASCON" "$work/script.lua" >"$work/out" 2>"$work/err" <>"$work/in" & # passes the signal on
  local pid=$! i=0 code begin took problem=
  until grep -q go "$work/out"; do
    sleep 0.05
    i=$((i + 1))
    [ $i -lt 600 ] && kill -0 $pid 2>/dev/null || break
  done
  sleep 0.2
  begin=$(ms)
  kill -INT $pid 2>/dev/null || problem='it was over before'
  wait $pid 2>/dev/null
  code=$? took=$(($(ms) - begin))
  [ $code = 130 ] || problem="exit code $code, expected 130: $(head -n 3 "$work/err")"
  [ $took -le "$soon" ] || problem="took $took ms"
  grep -q "${3:-interrupted}" "$work/err" || problem="${problem:+$problem; }said: $(head -n 3 "$work/err")"
  verdict "$1" "$problem"
}
go='io.write("go\n") io.flush() '

interrupt plain_loop "$go while true do end"
interrupt protected_calls "$go while true do pcall(function() while true do end end) end"
interrupt nested_protected_calls "$go while true do pcall(pcall, function() while true do xpcall(function() while true do end end, print) end end) end"
interrupt recursive_protected_calls "$go local function f(n) while true do if n > 0 then pcall(f, n - 1) end end end f(50)"
interrupt coroutine "$go local co = coroutine.wrap(function() while true do end end) co()"
interrupt coroutine_in_protected_call "$go while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end"
interrupt coroutines_in_turn "$go local a = coroutine.wrap(function() while true do for i = 1, 1e4 do end coroutine.yield() end end) while true do pcall(a) end"
interrupt coroutine_in_coroutine "$go local function f(n) while true do pcall(coroutine.wrap(f), n) end end f()"
interrupt endless_clean_up "$go local x <close> = setmetatable({}, {__close = function() while true do pcall(function() while true do end end) end end}) while true do end"
interrupt comparison_in_sort "$go local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t, function(a, b) local _, r = pcall(function() return a < b end) return r end) end"
interrupt reading "$go while true do pcall(io.read) end"
interrupt compiled_step "local ms = require 'mascon' local step = ms.compile(function(x) return (x:matmul(x)):sum() end) local x = ms.ones{900, 900}
for i = 1, 4 do step(x) end $go while true do pcall(step, x) end"

# One call that takes for ever, as good as: nothing of Lua runs meanwhile.
long() { interrupt "$1" "local ms = require 'mascon' $2 $go while true do pcall(function() $3 end) end"; }
long forest 'local x, y = ms.rand { 3e4, 8 }, ms.randint(1, 5, { 3e4 })' 'ms.ml.random_forest { trees = 1e5 }:fit(x, y)'
long one_deep_tree 'local x, y = ms.rand { 3e5, 30 }, ms.randint(1, 5, { 3e5 })' 'ms.ml.random_forest { trees = 1, max_features = 30 }:fit(x, y)'
long neighbours 'local x, y = ms.rand { 1e5, 64 }, ms.randint(1, 5, { 1e5 })' 'ms.ml.knn { k = 5 }:fit(x, y):predict(x)'
long pca 'local x = ms.rand { 4000, 2500 }' 'ms.ml.pca { components = 2 }:fit(x)'
long sort 'local x = ms.rand { 1e7 }' 'x:sort()'
side=${SAN:+1500} side=${side:-6000} # unoptimised, a strip of it takes long
long product "local x = ms.rand { $side, $side }" 'x:matmul(x)'
interrupt unprotected_product "local ms = require 'mascon' local x = ms.rand { $side, $side } $go while true do x:matmul(x) end"
long convolution 'local x, w = ms.rand { 64, 64, 96, 96 }, ms.rand { 128, 64, 5, 5 }' 'ms.conv2d(x, w)'

side=${SAN:+6000} side=${side:-20000}
long random_numbers '' "ms.randn { $side, $side }"
long elementwise "local x = ms.zeros { $side, $side // 2 }" 'x:pow(1.7)'

# What cleans up has its time: the file is whole.
interrupt clean_up_is_done "$go local x <close> = setmetatable({}, {__close = function() for i = 1, 1e4 do end
  local f = io.open('$work/saved', 'w') f:write('saved') f:close() end}) while true do pcall(function() while true do end end) end"
grep -q saved "$work/saved" && echo "ok clean_up_has_its_time" || verdict clean_up_has_its_time 'nothing was saved'

# recursion NAME CODE PATTERN: told with the script's line, soon.
recursion() {
  printf '%s\n' "$2" >"$work/deep.lua"
  local begin problem=
  begin=$(ms)
  timeout 20 "$MASCON" "$work/deep.lua" >"$work/out" 2>&1
  [ $(($(ms) - begin)) -le "$soon" ] || problem="took $(($(ms) - begin)) ms"
  grep -q "$3" "$work/out" || problem="${problem:+$problem; }said: $(head -n 3 "$work/out")"
  [ "$(wc -l <"$work/out")" -lt 40 ] || problem="${problem:+$problem; }$(wc -l <"$work/out") lines"
  verdict "$1" "$problem"
}
recursion deep 'local function f() return 1 + f() end
f()' 'deep.lua:1: stack overflow'
recursion deep_object 'local function f(n) if n == 0 then error(setmetatable({}, {__tostring = function() return "an object" end})) end return 1 + f(n - 1) end
f(150000)' '^mascon: an object'
recursion deep_in_coroutine 'local function f() return 1 + f() end
coroutine.wrap(f)()' 'deep.lua:1: stack overflow'
recursion deep_in_metamethod 'local t = setmetatable({}, {__index = function(t, k) return t[k .. "x"] .. "y" end})
print(t.a)' 'deep.lua:1: C stack overflow'
recursion deep_in_c 'local function f() return (string.gsub("a", "a", f)) end
f()' 'C stack overflow'
recursion deep_in_operations 'local t = require("mascon").ones{2}
local function f() return t + f() end
f()' 'deep.lua:2: stack overflow'
recursion deep_in_message_handler 'local function f() return 1 + f() end
print(xpcall(f, function() f() end))' '^false'
[ $failed = 0 ]
