#!/bin/sh
# How the prompt takes what is typed and pasted, its history, and the commands that begin with %.
# usage: tests/terminal/test_manners.sh [path of the program, default build/mascon]
program=${1:-build/mascon}
case $program in /*) ;; *) program=$PWD/$program ;; esac
work=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sh/screen_lib.sh"
paste_text() { printf "$1" | t load-buffer - && t paste-buffer -p; }

mkdir -p "$work/config/mascon"
echo 'mine = 40; print "from the rc file"' >"$work/config/mascon/rc.lua"
printf '#!/bin/sh\nsed -i s/41/43/ "$1"\n' >"$work/editor"
chmod +x "$work/editor"
open "export EDITOR=$work/editor; bash --norc -i"
type_line "$program"
check the_rc_file_runs '^from the rc file$'
type_line 'mine + 2'
check and_its_globals_are_there '^42$'

type_line 'x = 1; x + 70'
check a_value_after_statements '^71$'
type_line 'x = 5 x = 6; tostring(x) .. "!";'
type_line '_, _1, _2'
check a_semicolon_prints_nothing_but_keeps '^"6!"	* *"6!"	* *71$'
[ "$(screen | grep -c '6!')" = 2 ] && echo "ok printed_once" || { echo "not ok printed_once"; failed=1; }
type_line 'y = "no end'
check an_unfinished_string_is_an_error 'unfinished string'
type_line 'z = [[one'
type_line 'two]]; #z'
check a_long_string_goes_on '^7$'

clear_screen
paste_text 'v = ms.arange(1, 12)\n  :reshape{3, 4}\n\t:sum(1)\nfor i = 1, 2 do\n\n  io.write("<", i, ">")\nend\nv\n'
wait_for 'io.write("<"'
screen | grep -q tensor && { echo "not ok a_paste_waits_for_enter"; failed=1; } || echo "ok a_paste_waits_for_enter"
key Enter
check a_paste_is_one_piece '^<1><2>tensor 4 f32'
check a_chain_over_lines '^\[15., 18., 21., 24.\]'
clear_screen
paste_text "$(i=0; while [ $i -lt 60 ]; do printf 'w%d = %d\\n' $i $i; i=$((i + 1)); done)w59 + 1000\n"
check a_long_paste_has_a_mark '^mascon> \[pasted: 61 lines\]'
key Enter
check a_long_paste_runs '^1059$'
t send-keys -l "$(printf '\033[200~lost = 1')"
sleep 0.2
key C-c
sleep 0.2
type_line '"a paste without an end is over", rawget(_G, "lost")'
check ctrl_c_ends_a_paste_whose_end_was_lost '^"a paste without an end is over"	* *nil$'
type_line 'os.execute "sleep 0.6"; require "mascon.term".ask("\27[c", "c", 0.3) == nil and "no answer"'
type_line '7 * 7'
check keys_hit_ahead_are_no_answer '^"no answer"$'
check keys_hit_ahead_are_kept '^49$'
key C-s
type_line '"Ctrl-S holds nothing"'
check ctrl_s_does_not_hold_the_screen '^"Ctrl-S holds nothing"$'
type_line 'function fails(n)'
type_line '  return n.a.b'
type_line 'end'
type_line 'fails {}'
check errors_name_entry_and_line '^mascon: \[[0-9]*\]:2: attempt to index'
check errors_show_the_line '^  2 |   return n.a.b$'
type_line 'nn.linear(2, 3)(ms.ones { 4, 3 })'
check a_call_that_stands_alone_says_where '^mascon: \[[0-9]*\]:1: linear: x is 4 x 3'

clear_screen
type_line 'kept = 5'
type_line 'other = 6'
key -l 'ke'
key Up
check up_finds_what_begins_so '^mascon> kept = 5$'
key Down
check down_leads_back '^mascon> ke *$'
key C-c
key C-r
key -l 'oth'
check ctrl_r_searches '^mascon> other = 6'
key Enter
sleep 0.1
key C-z
check ctrl_z_stops 'Stopped'
type_line 'fg'
check fg_shows_the_prompt_again '^mascon> *$'
type_line 'kept + other'
check and_the_session_is_there '^11$'

clear_screen
type_line '%who'
check who_lists '^w9  *9$'
type_line '%nosuch'
check unknown_commands_are_errors 'unknown command %nosuch.*expected one of'
type_line '%time 6 * 7'
check time_runs_and_tells 's of processor, tensors'
check time_gives_the_value '^42$'
clear_screen
type_line 'big = ms.zeros{1000, 1000}'
type_line '%mem'
check mem_names_the_line '^ *4.0 MB  *1 tensor  *\[[0-9]*\]:1$'
type_line 'function f() return 41 end'
type_line '%edit'
check edit_runs_what_was_edited '^function f() return 43 end$'
type_line 'f()'
check and_it_is_defined '^43$'
printf 'local M = { C = {} }\nM.C.__index = M.C\nfunction M.C:say() return "one" end\nfunction M.new() return setmetatable({}, M.C) end\nreturn M\n' >"$work/mod.lua"
type_line 'm = require "mod"; o = m.new(); o:say()'
check a_module '^"one"$'
sed -i 's/"one"/"two"/' "$work/mod.lua"
type_line '%reload mod'
type_line 'o:say()'
check reload_changes_objects_that_live '^"two"$'
echo 'syntax error here' >"$work/mod.lua"
type_line '%reload mod'
check a_syntax_error_changes_nothing 'what was there stays'
echo 'ran = (ran or 0) + 1 print("ran with", ...)' >"$work/s.lua"
type_line '%run s.lua "a b" c'
check run_takes_arguments '^ran with	* *a b	* *c$'
clear_screen
type_line '%plot ms.arange(0, 6, 0.1):sin()'
check plot_draws '\*\*\*'
clear_screen
type_line '%img ms.rand{3, 8, 8}'
check img_draws_half_blocks '▀▀▀▀'
type_line '%img ms.zeros{1, 2, 3, 4, 5}'
check img_says_what_it_takes '%img: expected H x W'
type_line '%up far'
check what_is_no_number_is_an_error "%up: expected how many frames, as %up 2, got 'far'"
type_line '%help me'
check what_a_command_does_not_take_is_an_error "%help: expected nothing after it, got 'me'"
type_line '%where'
check where_is_for_inside 'no script stands still here'
type_line 'type = nil; select = 1; pairs = 2; unpack = 3; error = 4'
type_line 'big.shape, {1, {2}}'
check what_is_written_over_breaks_nothing '^{1000, 1000}	* *{1, {2}}$'
type_line "io.popen[[trap '' INT; echo ignored >&2; exec sleep 3]]:close()" # which Ctrl-C does not end
wait_for '^ignored$'
key C-c
sleep 0.3
key C-c
check what_does_not_stop_is_said 'still stopping'
check and_it_stops 'mascon: .*interrupted'
clear_screen
type_line '%save session'
check save_writes '^[0-9]* entries in session.lua$'
type_line 'exit'
check leaves '# *$'
printf 'return { new = function() return { say = print } end }\n' >"$work/mod.lua"
if "$program" "$work/session.lua" >"$work/got" 2>&1 && grep -q '^71$' "$work/got" && grep -q '<1><2>' "$work/got"; then
  echo "ok the_saved_session_runs"
else
  echo "not ok the_saved_session_runs"
  sed 's/^/# /' "$work/got" "$work/session.lua"
  failed=1
fi

open "export NO_COLOR=1 MASCON_RC=; $program"
check no_rc_file_when_it_is_empty '^mascon> $'
type_line '%img ms.ones{4, 4}'
check no_colours_with_no_color '^@@@@@@@@$'
t capture-pane -p -e | grep -q "$(printf '\033')\[3" && { echo "not ok no_escapes"; failed=1; } || echo "ok no_escapes"
key C-d
open "unset XDG_STATE_HOME; export HOME=$work/no-such-home; $program"
type_line '1 + 41'
check a_home_that_is_not_there_is_no_hindrance '^42$'
key C-d
check and_the_prompt_is_left 'left with code 0'
[ ! -e "$work/no-such-home" ] && echo "ok and_it_is_not_made" || { echo "not ok and_it_is_not_made"; failed=1; }
exit $failed
