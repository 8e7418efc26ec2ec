#!/bin/bash
# Threads as the environment sets them: MASCON_THREADS, bits, the process's own name, a stock lua5.4 as host, threads that sleep.
MASCON=${MASCON:-build/mascon} BUILD=${BUILD:-build}
failed=0
check() { # check NAME CONDITION...
  local name=$1
  shift
  if "$@"; then echo "ok $name"; else
    echo "not ok $name"
    failed=1
  fi
}

# A number from 1 to 1024 and nothing else, said at start and by name.
refused() {
  local said code
  said=$(MASCON_THREADS=$1 "$MASCON" -e 'print "ran"' 2>&1)
  code=$?
  [ $code = 2 ] && [[ $said == "mascon: MASCON_THREADS: expected a number from 1 to 1024, got '$1'"* ]] || { echo "# $1: code $code, $said"; false; }
}
for n in 0 -1 1025 two 2x ' 3' 1e2 99999999999999999999; do check "refuses_$n" refused "$n"; done
for n in 1 7 1024; do check "takes_$n" [ "$(MASCON_THREADS=$n "$MASCON" -e 'print(ms.threads())')" = $n ]; done
check 'empty_is_unset' [ "$(MASCON_THREADS='' "$MASCON" -e 'print(ms.threads() >= 1)')" = true ]

# The same bits on any number of threads, oneDNN's among them; also in a compiled step, which tries fewer.
work='ms.seed(1) local x, w = ms.randn{8, 8, 20, 20}, ms.randn{8, 1, 3, 3}
local c = ms.conv2d(x, w, nil, {groups = 8, padding = 1}) local a = ms.randn{300, 300}
local step = ms.compile(function(x) return (x:matmul(x)):tanh():sum() end) local r for i = 1, 200 do r = step(a) end
local s = ms.sort(a, 1) print(("%.17g %.17g %.17g"):format(c:sum():item(), r:item(), (s * a):sum():item()))'
one=$(MASCON_THREADS=1 "$MASCON" -e "$work")
for n in 2 3 9; do check "bits_on_$n" [ "$(MASCON_THREADS=$n "$MASCON" -e "$work")" = "$one" ]; done
check 'bits_are_there' [ -n "$one" ]

# It does not start itself anew: the process has its name, its environment what was given.
check 'process_has_its_name' [ "$("$MASCON" -e 'print(io.open("/proc/self/comm"):read())')" = "$(basename "$MASCON" | cut -c 1-15)" ]
check 'environment_as_given' [ "$(env -i PATH="$PATH" "$MASCON" -e 'print(io.popen("env | grep -c -e OMP -e MASCON"):read())')" = 0 ]

# In a stock lua5.4: threads sleep when there is nothing to do, no handler is set, closing the state and leaving is quiet.
if [ -n "${SAN:-}" ] || ! command -v lua5.4 >/dev/null; then
  echo 'skipped: no stock lua5.4, or sanitizers'
else
  said=$(MASCON_THREADS=3 LUA_CPATH="$BUILD/?.so" lua5.4 -e 'local ms = require "mascon"
    local x = ms.ones{600, 600} x = x:matmul(x) print(x:sum():item() > 0)
    os.execute("sleep 0.1")
    local busy, n = 0, 0
    for task in io.popen("cat /proc/" .. io.open("/proc/self/stat"):read("n") .. "/task/*/stat"):lines() do
      n = n + 1
      if task:match("%) (%a)") == "R" and n > 1 then busy = busy + 1 end
    end
    print(n, busy)
    local caught = io.open("/proc/self/status"):read("a"):match("SigCgt:%s*(%x+)")
    print(tonumber(caught:sub(-1), 16) & 2)' 2>&1)
  check 'stock_lua' [ "$said" = "$(printf 'true\n3\t0\n2')" ] || echo "# $said"
  said=$(MASCON_THREADS=none LUA_CPATH="$BUILD/?.so" lua5.4 -e 'require "mascon"' 2>&1)
  check 'stock_lua_refuses' grep -q "MASCON_THREADS: expected a number" <<<"$said"
fi
[ $failed = 0 ]
