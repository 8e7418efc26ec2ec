#!/bin/sh
# The prompt inside a running script (mascon debug, -i): Ctrl-C, errors, frames, variables, going on and leaving.
# usage: tests/terminal/test_inside.sh [path of the program, default build/mascon]
program=${1:-build/mascon}
case $program in /*) ;; *) program=$PWD/$program ;; esac
work=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sh/screen_lib.sh"

cat >"$work/loop.lua" <<'S'
local ms = require "mascon"
local run = ms.run("out", { options = {} })
local w = ms.zeros { 2 }
run:save("model", { w = w, epoch = 1 })
local rate, sum = 0.5, 0
local function work(n)
  local acc = 0
  for i = 1, n do
    acc = acc + i * rate
  end
  return acc
end
print "go"
for step = 1, 1e9 do
  local s <close> = ms.scope()
  local x = ms.ones { 3 } * step
  sum = sum + work(1000)
  if rate == 7 then print("rate is 7", step > 1, sum > 0, #x) break end
end
local co = coroutine.wrap(function(k) print "turns" while k > 0 do k = k + 1 end return k end)
print("left the coroutine with", co(1))
error "on purpose"
S
open "$program debug loop.lua"
check the_script_runs '^go$'
key C-c
check ctrl_c_opens_the_prompt '^debug> $'
check the_place_is_told '^stopped at loop.lua:[0-9]*, in '
check the_line_is_shown '^> *[0-9]* | '
type_line '%where'
check where_lists_the_callers '^[> ] *[12]  loop.lua:1[5-8], in main chunk$'
type_line 'rate, rate * 2'
check variables_are_read '^0.5	*  *1.0$'
type_line 'keep = ms.ones{4}'
type_line 'rate = 7'
type_line '%time rate'
check variables_are_set '^7$'
type_line 'nosuch.field'
check an_error_leaves_the_frames 'attempt to index a nil value'
begin 'while true do end'
key C-c C-c
check ctrl_c_stops_a_command 'mascon: interrupted'
clear_screen
type_line 'for i = 1, 2 do'
type_line 'io.write("<", i * rate, ">") end print()'
check a_loop_of_several_lines '^<7><14>$'
type_line 'continue'
check it_goes_on_with_what_was_set '^rate is 7	*  *true	*  *true	*  *3$'
check a_coroutine_runs '^turns$'
key C-c
check a_coroutine_is_stopped_in 'in function <loop.lua:20>'
type_line '%up'
check who_resumed_it_is_above '^>  2  loop.lua:21, in main chunk'
type_line 'keep'
check what_was_made_at_the_prompt_outlives_the_scope '^\[1'
type_line '%down'
type_line 'k = -1'
type_line 'continue'
check a_variable_of_a_coroutine_is_set 'left the coroutine with	*  *-*[01]$'
check an_error_is_told '^mascon: loop.lua:22: on purpose'
check an_error_opens_the_prompt 'the script stands where it failed'
type_line 'sum > 0, w.shape'
check its_variables_are_there '^true	* *{2}$'
clear_screen
type_line 'continue'
check nothing_goes_on_after_an_error 'nothing to go on with'
type_line 'quit'
check leaving_after_an_error '^left with code 1$'

open "$program debug loop.lua"
check again '^go$'
key C-c
check stopped_again '^debug> $'
type_line 'quit'
check quit_saves '^saved out/model-left.safetensors, as it is now; --resume goes on from model'
check quit_leaves '^left with code 130$'
[ -s "$work/out/model-left.safetensors" ] && echo "ok the_file_is_there" || { echo "not ok the_file_is_there"; failed=1; }

cat >"$work/fit.lua" <<'S'
local ms = require "mascon"
local x, y = ms.rand { 5000, 8 }, ms.randint(1, 5, { 5000 })
print "go"
local forest = ms.ml.random_forest { trees = 3 }:fit(x, y)
pcall(function() print "turns" while true do end end)
print "not reached"
S
open "$program -i fit.lua"
check a_script_with_the_prompt_after_it '^turns$'
key C-c
check stops_inside_a_protected_call '^stopped at fit.lua:5'
type_line 'forest:predict(x).shape'
check upvalues_and_locals_of_callers 'mascon: .*forest' # of the main chunk, which is one frame up
type_line '%up'
type_line 'forest:predict(x).shape'
check one_frame_up '^{5000}$'
type_line 'quit'
check nothing_to_save '^nothing was saved: '
check leaves_all_of_it '^left with code 130$'

cat >"$work/slow.lua" <<'S'
local ms = require "mascon"
local x, y = ms.rand { 20000, 8 }, ms.randint(1, 5, { 20000 })
print "go"
ms.ml.random_forest { trees = 100000 }:fit(x, y)
S
open "$program debug slow.lua"
check a_long_calculation '^go$'
key C-c
sleep 0.4
key C-c
check what_is_waited_for_is_named 'the prompt opens when this has ended: ml.random_forest:fit, tree [0-9]* of 100000'
sleep 1
key C-c
check asked_again_it_is_stopped 'what took long was stopped'
check and_the_prompt_opens '^stopped at slow.lua:4'
type_line 'continue'
check then_its_error_comes 'mascon: slow.lua:4: .*interrupted'
type_line 'x.shape'
check and_opens_the_prompt_there '^{20000, 8}$'
key C-d
check the_end_of_input_leaves '^left with code 1$'

printf 'local t = { a = 1 }\nlocal function f(n)\n  local m = n * 2\n  return t.b.c + m\nend\nf(21)\n' >"$work/bad.lua"
if printf 'm\n%%up\nt.a\ncontinue\n' | TERM=dumb "$program" debug "$work/bad.lua" >"$work/got" 2>"$work/err"; [ $? = 1 ] &&
  grep -q '^42$' "$work/got" && grep -q '^1$' "$work/got" && grep -q 'bad.lua:4: attempt to index' "$work/err" &&
  [ "$(grep -c 'attempt to index' "$work/err")" = 1 ]; then
  echo "ok commands_from_a_pipe"
else
  echo "not ok commands_from_a_pipe"
  sed 's/^/# /' "$work/got" "$work/err"
  failed=1
fi
exit $failed
