#!/bin/sh
# Options, exit codes and error reports of the program. Prints "ok NAME" or "not ok NAME" a line; exits 1 when one is not ok.
# usage: tests/terminal/test_program.sh [path of the program, default build/mascon]
program=${1:-build/mascon}
case $program in /*) ;; *) program=$PWD/$program ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work" || exit 1
failed=0

# expect NAME CODE PATTERN: the last run ended with CODE, and output or errors have a line that matches the pattern.
expect() {
  if [ "$code" = "$2" ] && grep -q -- "$3" all; then
    echo "ok $1"
  else
    echo "not ok $1"
    echo "# expected code $2 and: $3"
    echo "# got code $code and:"
    sed 's/^/# /' all
    failed=1
  fi
}
# run ARGUMENTS: standard output to out, errors to err, both to all, exit code to code.
run() {
  "$program" "$@" >out 2>err </dev/null
  code=$?
  cat out err >all
}
script() { cat >s.lua; }

run --version
expect version 0 '^mascon [0-9]*\.[0-9]*\.[0-9]* (Lua 5\.4'
run -h
expect help 0 '^usage: mascon'
run --nonsense
expect unknown_option 2 'mascon: unknown option --nonsense'
run -e
expect code_missing 2 'wants the code'
for options in '--sandbox ps' 'debug ps' '-i ps' '--bytecode plot x' '--time 3 ps'; do
  run $options
  expect "no_command_takes_$(echo "$options" | tr -c 'a-z\n' _)" 2 'mascon: .*\(stand.* alone\|is for a script\|limits of --sandbox\)'
done
mkfifo pipe
from_a_pipe() { # from_a_pipe NAME CODE PATTERN LUA: nothing may open the pipe a second time, which would wait for ever
  printf '%s\n' "$4" >pipe &
  timeout 20 "$program" pipe >all 2>&1 </dev/null
  code=$?
  expect "$1" "$2" "$3"
}
from_a_pipe a_script_from_a_named_pipe 0 '^read$' 'print "read"'
from_a_pipe its_error 1 'pipe:1: on purpose' 'error "on purpose"'
from_a_pipe its_syntax_error 1 "pipe:1: .* near '='" 'x = = 1'
run missing.lua
expect missing_script 1 'mascon: cannot open missing.lua'

script <<'S'
print(arg[0], #arg, ...)
S
run s.lua a "b c"
expect arguments 0 '^s.lua	2	a	b c$'
run -e 'print(arg[1], ..., type(ms), type(require "mascon.args"))' x
expect code_from_the_command_line 0 '^x	x	table	table$'
printf 'print("from", "stdin", ...)' >in
"$program" - a <in >all 2>&1
code=$?
expect script_from_standard_input 0 '^from	stdin	a$'
"$program" <in >all 2>&1
code=$?
expect piped_script 0 '^from	stdin$'

script <<'S'
local function inner(t)
  return t.a.b
end
local function outer() local r = inner {} return r end
outer()
S
run s.lua
expect error_has_message_and_line 1 "^mascon: s.lua:2: attempt to index a nil value (field 'a')"
expect error_shows_the_line 1 '^  2 |   return t.a.b$'
expect error_has_a_traceback 1 "^  s.lua:4: in function 'outer'"
expect error_ends_at_the_main_chunk 1 '^  s.lua:5: in main chunk$'
script <<'S'
local x = 1
local y = = 2
S
run s.lua
expect syntax_error 1 "^mascon: s.lua:2: unexpected symbol near '='"
expect syntax_error_shows_the_line 1 '^  2 | local y = = 2$'
script <<'S'
error(setmetatable({}, { __tostring = function() return "my own kind" end }))
S
run s.lua
expect error_object 1 '^mascon: my own kind$'
script <<'S'
error { exit_code = 75, plain = true, message = "x" }
S
run s.lua
expect exit_code_of_an_error_object 75 '^mascon: table'
script <<'S'
local function deep(n) if n == 0 then error "bottom" end deep(n - 1) return n end
deep(100)
S
run s.lua
expect long_traceback_is_cut 1 '^  \.\.\. [0-9]* more$'

script <<'S'
local function f() counter = 1 end
f()
S
run s.lua
expect global_assignment 1 "s.lua:1: assignment to undeclared variable 'counter': write 'local counter'"
script <<'S'
local total = 1
print(totl, pritn)
S
run s.lua
expect global_read 1 "s.lua:2: undefined variable 'totl'"
script <<'S'
local strict = require "mascon.strict"
strict.global("counter", 1)
strict.global { other = 5 }
counter = counter + 1
rawset(_G, "third", 3)
print(counter, other, third)
S
run s.lua
expect declared_globals 0 '^2	5	3$'
mkdir sub
cat >sub/friend.lua <<'S'
return { leak = function() leaked = 1 end, value = 7 }
S
script <<'S'
local friend = require "friend"
print(friend.value)
friend.leak()
S
mv s.lua sub/s.lua
run sub/s.lua
expect module_beside_the_script 1 '^7$'
expect modules_beside_are_strict_too 1 "assignment to undeclared variable 'leaked'"

script <<'S'
local guard <close> = setmetatable({}, { __close = function() print "closed" end })
os.exit(3)
S
run s.lua
expect os_exit_closes 3 '^closed$'
script <<'S'
local args = require "mascon.args"
local o = args { epochs = 5, quick = false }
print(o.epochs, o.quick)
S
run s.lua --epochs 2 --quick
expect args_in_a_script 0 '^2	true$'
run s.lua --epoch 2
expect args_mistake 2 '^mascon: s.lua: unknown option --epoch; did you mean --epochs? (--help lists the options)$'
[ "$(wc -l <err)" = 1 ]
code=$?
expect args_mistake_is_one_line 0 .
run s.lua --help
expect args_help 0 '^usage: mascon s.lua \[options\]$'
[ ! -s err ]
code=$?
expect args_help_is_standard_output 0 .

script <<'S'
print "started"
io.stdout:flush()
while true do end
S
"$program" s.lua >all 2>&1 &
pid=$!
i=0
while ! grep -q started all && [ $i -lt 50 ]; do
  sleep 0.1
  i=$((i + 1))
done
kill -INT $pid
wait $pid
code=$?
expect interrupted 130 '^mascon: .*interrupted$'
expect interrupted_at_the_line 130 's.lua:3'
exit $failed
