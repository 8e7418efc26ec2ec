#!/bin/sh
# Drives the real prompt in a real terminal (tmux). Prints "ok NAME" or "not ok NAME" a line; exits 1 when one is not ok.
# usage: tests/terminal/test_prompt.sh [path of the program, default build/mascon]
program=${1:-build/mascon}
case $program in /*) ;; *) program=$PWD/$program ;; esac
work=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sh/screen_lib.sh"

# Start the program in a fresh terminal of 100 x 30: start TERM [arguments]
start() {
  term=$1
  shift
  open "export TERM=$term; $program $*"
  wait_for '^mascon> $'
}
start screen
check banner 'mascon [0-9.]* .*Ctrl-D leaves'
type_line '1 + 2'
check expression_prints_its_value '^3$'
type_line '"a\tb", 7, nil, {1, 2, x = "y"}'
check values_are_separated_by_tabs '^"a\\tb"  *7  *nil  *{1, 2, x = "y"}$'
type_line 'local kept = 40'
type_line 'kept + 2'
check local_at_the_prompt_is_kept '^42$'

clear_screen
type_line 'function twice(x)'
check incomplete_chunk_asks_for_more '^     \.\. $'
type_line 'return 2 * x'
type_line 'end'
type_line 'twice(21) + 100'
check multi_line_function_runs '^142$'
type_line 'for i = 1, 3 do'
type_line 'io.write("<", i * 11, ">")'
type_line 'end print()'
check multi_line_loop_runs '^<11><22><33>$'

clear_screen
key Up
check history_brings_back_a_chunk 'end print()'
key Enter
check recalled_chunk_runs_again '^<11><22><33>$'
key Up
check history_again 'end print()$'
key C-c
check ctrl_c_drops_the_line '\^C'
clear_screen
key Up Up
check history_goes_further_back 'mascon> twice(21) + 100'
key C-c

clear_screen
type_line 'error("on purpose")'
check error_is_told 'mascon: \[[0-9]*\]:1: on purpose'
type_line 'nosuch.field'
check error_names_the_variable "attempt to index a nil value (global 'nosuch')"
type_line 'x = = 1'
check syntax_error_is_told "unexpected symbol near '='"
type_line 'kept + 3'
check error_keeps_the_session '^43$'

clear_screen
begin 'count = 0 while true do count = count + 1 end'
key C-c
check ctrl_c_stops_the_command 'mascon: .*interrupted'
type_line 'count > 1000, kept'
check ctrl_c_keeps_the_variables '^true  *40$'
begin 'while true do count = count + 1 end'
key C-c
type_line 'kept + 4'
check ctrl_c_works_twice '^44$'
clear_screen
begin 'while true do pcall(function() while true do end end) end'
key C-c
check ctrl_c_leaves_protected_calls 'mascon: .*interrupted'
clear_screen
type_line 'ms.seed(5)'
begin 'co = coroutine.wrap(function() while true do end end) while true do pcall(co) end'
key C-c
key C-c
key C-c
type_line 'kept + 5'
check ctrl_c_again_and_again_keeps_the_session '^45$'
for round in 1 2 3 4 5; do
  clear_screen
  type_line 'while true do local g <close> = ms.no_grad() ms.with_seed(1, math.abs, 1) end'
  sleep 0.2
  key C-c
  type_line "ms.grad_enabled(), ms.rng_state() == 5, $round"
  check "ctrl_c_switches_modes_back_$round" "^true  *true  *$round\$"
done
program_of_the_pane=$(t list-panes -F '#{pane_pid}')
for signal in 1 2; do # from elsewhere, while nothing runs
  pkill -INT -P "$program_of_the_pane" 2>/dev/null || kill -INT "$program_of_the_pane"
  sleep 0.2
done
type_line 'kept + 7'
check a_signal_from_elsewhere_keeps_the_session '^47$'
begin 'io.read()'
key C-c
type_line 'kept + 6'
check ctrl_c_leaves_a_read '^46$'

clear_screen
key -l 'string.rev'
key Tab
check tab_completes_a_field 'mascon> string\.reverse$'
key C-c
key -l 'mat'
key Tab
key -l '.hug'
key Tab
check tab_completes_a_global 'mascon> math\.huge$'
key C-c
clear_screen
type_line 'obj = setmetatable({}, {__index = {advance = print, admit = print, add = 1}, __dir = function() return {"addition"} end})'
type_line 'ran = 0; obj2 = setmetatable({}, {__index = function() ran = ran + 1 end, __dir = function() ran = ran + 1 return {"flatten"} end})'
key -l 'obj:adv'
key Tab
check tab_completes_a_method 'mascon> obj:advance$'
key C-c
key -l 'obj2:fl'
key Tab
key C-c
type_line '"ran", ran'
check tab_runs_nothing_of_the_users '^"ran"	*  *0$'
clear_screen
key -l 'obj:ad'
key Tab
check tab_lists_what_it_could_be '^admit  *advance$'
check tab_shows_the_line_again 'mascon> obj:ad$'
key C-c
key -l 'ms.progr'
key Tab
check tab_completes_lazy_modules 'mascon> ms\.progress$'
key C-c

clear_screen
type_line '?'
check question_mark_helps 'Tab completes names'
type_line '  é = 1'
check odd_bytes_are_an_error 'mascon: \[[0-9]*\]:1: '
type_line '"é".."ü"'
check utf8_goes_in_and_out '^"éü"$'
type_line 'exit'
check exit_leaves 'left with code 0'

start screen
key Up Up
check history_survives_the_session 'mascon> "é".."ü"'
key C-c
key C-d
check ctrl_d_leaves 'left with code 0'

start dumb
type_line '6 * 7'
check dumb_terminal_prints '^42$'
begin 'while true do end'
key C-c
check dumb_terminal_ctrl_c 'interrupted'
type_line '6 * 8'
check dumb_terminal_goes_on '^48$'
key C-d
check dumb_terminal_ctrl_d 'left with code 0'

printf 'local rate = 0.5\nlocal function half(x) return x * rate end\nprint("ran", ...)\n' >"$work/s.lua"
start screen -i "$work/s.lua" one
check script_ran_before_the_prompt 'ran	*  *one'
type_line 'half(rate)'
check locals_of_the_script_are_there '^0\.25$'
key C-d

if printf '20 + 3\nfor i = 1, 2 do\nprint(i)\nend\nerror("no")\n"still", "here"\n' | TERM=dumb "$program" -i 2>"$work/err" >"$work/out" &&
  [ "$(cat "$work/out")" = "$(printf '23\n1\n2\n"still"\t"here"')" ] && grep -q '\[3\]:1: no' "$work/err"; then
  echo "ok piped_prompt"
else
  echo "not ok piped_prompt"
  failed=1
fi
exit $failed
