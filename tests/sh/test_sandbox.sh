#!/usr/bin/env bash
# mascon --sandbox: hostile scripts stay inside, honest ones run. Each hostile line tries to get out and would say OUT if it did.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir "$top/data" "$top/else" "$top/data/inner"
echo secret >"$top/else/secret"
echo open >"$top/data/inner/open"
ln -s "$top/else/secret" "$top/data/link"
export SECRET_KEY=1234

failed=0
check() { # LABEL COMMAND...
  if "${@:2}" >"$top/log" 2>&1; then echo "ok $1"; else echo "not ok $1" && sed 's/^/# /' "$top/log" | head -20 && failed=1; fi
}
inside() { "$MASCON" --sandbox --time 20 --memory 1G "$@"; } # SCRIPT ARGUMENTS...
if ! echo 'print(1)' | inside - >"$top/log" 2>&1; then
  if grep -q Landlock "$top/log"; then echo 'skipped: this kernel has no Landlock, and mascon --sandbox says so' && exit 0; fi
  if [ -n "${SAN:-}${STRESS:-}" ]; then echo 'skipped: sanitizers need more memory than a sandbox gives' && exit 0; fi
fi

# ---- hostile: LABEL, Lua that is true when it got out
try() {
  printf 'local ms = require "mascon"\nlocal function out()\n%s\nend\nlocal ok, got = pcall(out)\nprint(ok and got and "OUT" or "in: " .. tostring(got))\n' \
    "$2" >"$top/hostile.lua"
  stays() {
    inside "$top/hostile.lua" --data "$top/data" --out "$top/out" "$top/else" >"$top/said" 2>&1 <"$top/else/secret"
    local rc=$?
    cat "$top/said"
    grep -q '^in:' "$top/said" && [ $rc -lt 126 ] && [ "$(cat "$top/else/secret")" = secret ] && [ "$(ls "$top/else")" = secret ] &&
      [ "$(ls "$top/data")" = "$(printf 'inner\nlink')" ]
  }
  check "hostile: $1" stays
}
other='local other = arg[#arg]'
try 'read another file' "$other return io.open(other .. '/secret')"
try 'read through a link' 'return io.open(arg[2] .. "/link")'
try 'read through ..' 'return io.open(arg[2] .. "/../else/secret")'
try 'read its own script' 'return io.open(arg[0])'
try 'read /proc' 'return io.open "/proc/self/environ" or io.open "/proc/self/mem" or io.open "/proc/self/fd/0"'
try 'write another file' "$other return io.open(other .. '/new', 'w') or io.open(other .. '/secret', 'a')"
try 'write into the data' 'return io.open(arg[2] .. "/new", "w") or io.open(arg[2] .. "/inner/open", "r+")'
try 'remove, rename' "$other return os.remove(other .. '/secret') or os.rename(other .. '/secret', arg[4] .. '/got')"
try 'rename out of the folder' "$other assert(io.open(arg[4] .. '/x', 'w')):close() return os.rename(arg[4] .. '/x', other .. '/x')"
try 'a temporary file' 'return io.tmpfile() or os.tmpname()'
try 'a process' 'return io.popen "ls" or os.execute "ls" or os.execute()'
try 'a C module' "$other return package.loadlib and package.loadlib('libm.so.6', '*') or package.cpath or #package.searchers > 3"
try 'a module elsewhere' "$other package.path = other .. '/?' return require 'secret'"
try 'bytecode' 'return load(string.dump(function() return 1 end), "x", "b") or load(string.dump(function() end))'
try 'the environment' 'return os.getenv "SECRET_KEY" or os.getenv "HOME" or os.getenv "PATH"'
try 'dofile, loadfile' "$other return loadfile(other .. '/secret') or dofile(other .. '/secret')"
try 'the library reads' "$other return ms.load(other .. '/secret')"
try 'the library writes' "$other return ms.save(other .. '/new', { x = ms.zeros { 1 } })"
try 'a picture' "$other ms.image.save(other .. '/new.png', ms.zeros { 1, 4, 4 }) return true"
try 'a run elsewhere' "$other return ms.run(other .. '/run', {})"
try 'a download' 'return ms.data.download("http://127.0.0.1:9/x", arg[4] .. "/x")'
try 'a plot is a process' 'ms.plot.lines { { y = { 1, 2 } }, file = arg[4] .. "/x.png" } return true'
try 'the parts of the library' "$other local s = require 'mascon.system' return s.mkdir(other .. '/new') or s.replace(other .. '/new', 'x')"
try 'a device module' 'return ms.device "cuda" or ms.device "lazy"'
try 'debug' 'return debug.getregistry or debug.setmetatable or debug.setupvalue or debug.upvaluejoin or debug.sethook'
try 'a metatable of strings' 'getmetatable("").__index = function() return io.open "/etc/passwd" end return ("x").y'
try 'a coroutine' "$other return coroutine.wrap(function() return io.open(other .. '/secret') end)()"
try 'a collector' "$other local got setmetatable({}, { __gc = function() got = io.open(other .. '/secret') end }) collectgarbage() return got"
try 'finalizers by hand' 'local x = ms.randn { 3 } local m = debug.getmetatable(x) m.__gc(x) m.__gc(x) m.__close(x) return x:sum():item() ~= x:sum():item()'
try 'deep recursion' 'local function f(n) return 1 + f(n + 1) end return f(1)'
try 'deep pattern' 'return ("a"):rep(300000):find(("(a"):rep(40) .. (")"):rep(40))'
try 'a giant tensor' 'return ms.zeros { 1000, 1000, 1000 }'
try 'giant text' 'local s = "x" while true do s = s .. s end'
try 'many tensors' 'local all = {} for i = 1, 1e6 do all[i] = ms.zeros { 1000, 1000 } end return all'

# ---- caps
ends_in() { # RC TEXT CODE
  "$MASCON" --sandbox --time 0.5 --memory 1G -e "$3" >"$top/said" 2>&1
  local rc=$?
  cat "$top/said"
  [ $rc -eq "$1" ] && grep -q -- "$2" "$top/said"
}
check 'time: a loop' ends_in 124 'time is over (--time 0.5 seconds)' 'while true do end'
check 'time: what was printed is not lost' ends_in 124 'so far' 'print "so far" while true do end'
check 'time: in pcall' ends_in 124 'time is over' 'while true do pcall(error) end'
check 'time: a pattern' ends_in 124 'time is over' 'print(("a"):rep(40):find(("a*"):rep(30) .. "b"))'
check 'time: in C' ends_in 124 'time is over' 'local x = ms.randn { 2000, 2000 } while true do x = x:matmul(x) end'

# ---- honest
printf '%s\n' 'local ms = require "mascon"' 'local o = ms.args.standard { epochs = 2, out = "none" }' \
  'local run = ms.run(o.out, { options = o, tensorboard = true })' \
  'local m = ms.nn.sequential { ms.nn.conv2d(1, 16, 3), ms.nn.flatten(), ms.nn.linear(16 * 26 * 26, 2) }' \
  'local adam = ms.optim.adam(m:parameters(), { lr = 1e-3 })' \
  'local step = ms.compile(function(x) local loss = m(x):pow(2):mean() adam:zero_grad() loss:backward() adam:step() return loss end)' \
  'for e = 1, o.epochs do local loss for i = 1, 5 do loss = step(ms.randn { 8, 1, 28, 28 }) end' \
  '  run:epoch { epoch = e, loss = loss } run:save("model", { model = m }) end' \
  'ms.image.save(o.out .. "/x.png", ms.rand { 1, 8, 8 })' \
  'print(io.open(o.data .. "/inner/open"):read "a")' 'run:summary { loss = 1 } run:close()' >"$top/honest.lua"
honest() {
  inside "$top/honest.lua" --data="$top/data" --out="$top/made/here" && [ -s "$top/made/here/metrics.jsonl" ] &&
    [ -s "$top/made/here/model.safetensors" ] && [ -s "$top/made/here/x.png" ]
}
check 'an honest script: reads its data, trains, writes below --out' honest
says() { # TEXT OPTIONS...
  "$MASCON" "${@:2}" >"$top/said" 2>&1
  local rc=$?
  cat "$top/said"
  [ $rc -ne 0 ] && grep -q -- "$1" "$top/said"
}
check 'data that are not there' says 'none-such' --sandbox "$top/honest.lua" --data "$top/none-such"
check 'limits without walls' says 'limits of --sandbox' --time 5 "$top/honest.lua"
check 'a size that is none' says 'expected 64M or more' --sandbox --memory 3 "$top/honest.lua"
check 'a time that is none' says 'expected seconds' --sandbox --time soon "$top/honest.lua"
check 'behind the script it is no wall' says 'stands before the script' "$top/honest.lua" --sandbox
check 'behind -e it is no wall' says 'stands before the script' -e 'print(1)' --sandbox
check 'the script may have it behind --' grep -q '^--sandbox$' <("$MASCON" -- <(echo 'print(arg[1])') --sandbox)
check 'a download says why not' says 'mascon --sandbox has no network' --sandbox -e 'data.download("http://a.b/c", "c")'
check 'no prompt' says 'without debug' --sandbox -i "$top/honest.lua"
check 'no debugger' says 'without debug' --sandbox debug "$top/honest.lua"
check 'no watch' says 'without debug' --sandbox watch "$top/honest.lua"
check 'a plot says why not' says 'mascon --sandbox does not' --sandbox -e 'ms.plot.lines { { y = { 1, 2 } }, file = "x.png" }'
exit $failed
