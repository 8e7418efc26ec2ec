#!/bin/sh
# What the prompt shows of values, of ?name, and of Tab, as keys in and screen out.
# usage: tests/terminal/test_values.sh [path of the program, default build/mascon]
program=${1:-build/mascon}
case $program in /*) ;; *) program=$PWD/$program ;; esac
work=$(mktemp -d)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sh/screen_lib.sh"

mkdir "$work/files" && touch "$work/files/first.csv" "$work/files/second.csv"
open "$program"
check opened '^mascon> $'

type_line 'net = nn.sequential{nn.linear(2, 3), nn.relu()}; opt = optim.adam(net:parameters())'
type_line '?net'
check a_live_value_is_described 'net: a module'
check with_its_layers '1: linear(2, 3)'
clear_screen
type_line '?nn.dropout'
check a_record_is_told '^nn.dropout(\[p = 0.5\]) -> module$'
clear_screen
type_line '??spectral'
check search_finds 'nn.spectral_norm'
clear_screen
type_line '{1, {2, {3, {4}}}, x = "a"}'
check tables_to_three_levels '^{1, {2, {3, {...}}}, x = "a"}$'
type_line 'bad = setmetatable({}, { __tostring = function() while true do pcall(function() while true do end end) end end })'
type_line 'bad'
check an_endless_tostring_is_left 'its __tostring failed: it does not end'
type_line '1 + 1'
check and_the_prompt_goes_on '^2$'

clear_screen
key -l -- 'net:par'
key Tab
key -l -- '()[1].sh'
key Tab
key Enter
check tab_completes_methods_and_fields '^{3, 2}$'
clear_screen
key -l -- 'o2 = optim.sgd(net:parameters(), { mom'
key Tab
key -l -- '0.9 })'
key Enter
check tab_completes_option_keys '{ momentum = 0.9 })$'
clear_screen
key -l -- "f = '$work/files/fi"
key Tab
key -l -- "'"
key Enter
type_line 'f:sub(-9)'
check tab_completes_files '^"first.csv"$'
clear_screen
key -l -- 'x = ms.randn{2}:'
key Tab
check a_long_list_is_paged 'of [0-9]*: space shows more, q ends'
key Space
sleep 0.2
key q
key C-u
type_line '40 + 2'
check and_left_by_a_key '^42$'
exit $failed
