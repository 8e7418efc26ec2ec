#!/usr/bin/env bash
# tests/run.sh must count what passed, failed and was skipped, and must not take a crash, an empty file or a hang for success.
set -u
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir -p "$top"/tests/{c,lua,sh,terminal} "$top"/build/tests
cp tests/run.sh "$top/tests/"
cd "$top" || exit 1
unset ONLY KINDS SAN STRESS MASCON_COUNTS

expect() { # expect NAME STATUS LAST-LINE [SETTING...]
  local name=$1 status=$2 last=$3 rc
  shift 3
  env BUILD=build TIMEOUT=2 "$@" tests/run.sh >out 2>&1
  rc=$?
  if [ $rc -eq "$status" ] && [ "$(tail -n 1 out)" = "$last" ]; then
    echo "ok $name"
  else
    echo "not ok $name: exit status $rc, expected $status and: $last" && cat out
  fi
}
c_test() { # c_test NAME: the rest of the lines is what the program does
  touch "tests/c/$1.c"
  { echo '#!/bin/sh' && cat; } >"build/tests/$1"
  chmod +x "build/tests/$1"
}

expect 'nothing to run is a failure' 1 '0 passed, 1 failed, 0 skipped'
echo 'echo "ok one"; echo "ok two"; echo "skipped: no such thing"' >tests/sh/test_good.sh
expect 'shell lines are counted' 0 '2 passed, 0 failed, 1 skipped'
c_test test_good <<<"printf '[  PASSED  ] 3 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n'"
expect 'cmocka is counted' 0 '5 passed, 0 failed, 2 skipped'
c_test test_crash <<<"printf '[  PASSED  ] 1 test(s).\n'; kill -SEGV \$\$"
expect 'a crash fails' 1 '1 passed, 1 failed, 0 skipped' ONLY=crash
c_test test_bad <<<"printf '[  PASSED  ] 1 test(s).\n[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] a\n[  FAILED  ] b\n'; exit 2"
expect 'cmocka failures are counted once' 1 '1 passed, 2 failed, 0 skipped' ONLY=test_bad
printf '#!/bin/sh\necho "Ran 7 tests in 0.001 seconds, 4 successes, 1 failure, 2 errors, 3 skipped"; exit 3\n' >build/mascon
chmod +x build/mascon
touch tests/lua/test_lua.lua
expect 'luaunit is counted' 1 '4 passed, 3 failed, 3 skipped' KINDS=lua
leaks='echo "==1==LeakSanitizer has encountered a fatal error."'
c_test test_tool_dies_once <<<"printf '[  PASSED  ] 1 test(s).\n'; test -e died && exit 0; touch died; $leaks; exit 1"
expect 'LeakSanitizer that dies itself is asked again' 0 '1 passed, 0 failed, 0 skipped' ONLY=dies_once
c_test test_tool_dies_always <<<"printf '[  PASSED  ] 1 test(s).\n'; $leaks; exit 1"
expect 'but not for ever' 1 '1 passed, 1 failed, 0 skipped' ONLY=dies_always
: >tests/sh/test_empty.sh
expect 'a file that ran no test fails' 1 '0 passed, 1 failed, 0 skipped' ONLY=empty
echo 'echo "ok one"; sleep 60' >tests/sh/test_hang.sh
expect 'a hang fails' 1 '1 passed, 1 failed, 0 skipped' ONLY=hang
expect 'a filter that matches nothing fails' 1 '0 passed, 1 failed, 0 skipped' ONLY=nowhere
