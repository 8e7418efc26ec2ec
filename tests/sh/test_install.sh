#!/usr/bin/env bash
# `make install` into a new PREFIX, then what a user does next: run the program, load the module from a stock lua5.4, compile a C program.
set -u
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
prefix=$top/prefix
BUILD=${BUILD:-build} SAN=${SAN:-}

check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$top/out" 2>&1; then
    echo "ok $name"
  else
    echo "not ok $name"
    cat "$top/out"
  fi
}
says() { # says TEXT COMMAND...: succeeds and prints just that
  local want=$1 got
  shift
  got=$("$@" 2>&1) && [ "$got" = "$want" ] || { echo "expected: $want; got: $got" && return 1; }
}

check 'make install' make --no-print-directory install PREFIX="$prefix" BUILD="$BUILD" ${SAN:+SAN=1}
for file in bin/mascon lib/lua/5.4/mascon.so lib/libmascon.so lib/libmascon_cuda.so lib/libmascon.a include/mascon.h share/man/man1/mascon.1; do
  check "installed $file" test -s "$prefix/$file"
done
check 'installed the Lua part' diff -r scripts/mascon "$prefix/share/mascon" --exclude=examples --exclude=tutorial --exclude=stubs --exclude=html
check 'installed the tutorial' diff -r scripts/tutorial "$prefix/share/mascon/tutorial"
check 'nothing outside bin, lib, include, share' test "$(ls "$prefix" | tr '\n' ' ')" = 'bin include lib share '

cd "$top" || exit 1 # nothing of the source tree is near
add='local ms = require "mascon"; print(#(ms.tensor{1,2,3} + 1), (ms.tensor{1,2,3} + 1):sum():item())'
check 'installed program runs' says $'3\t9.0' "$prefix/bin/mascon" -e "$add"
# LD_PRELOAD: under sanitizers their runtime must come first. Leaks of lua5.4 itself are not ours to find here.
stock() { env LUA_CPATH="$prefix/lib/lua/5.4/?.so" ${SAN:+LD_PRELOAD=$ASAN_RUNTIME ASAN_OPTIONS=detect_leaks=0} lua5.4 "$@"; }
check 'require "mascon" from lua5.4' says $'3\t9.0' stock -e "$add"
folders='require "mascon"; local nn = require "mascon.nn"; print(#nn.linear(3, 2):parameters(), require "mascon.layers.kit".nn == nn)'
check 'modules in folders, installed program' says $'2\ttrue' "$prefix/bin/mascon" -e "$folders"
check 'modules in folders, lua5.4' says $'2\ttrue' stock -e "$folders"
check 'mascon.so brings no second Lua' bash -c "! ldd '$prefix/lib/lua/5.4/mascon.so' | grep -i liblua && ! nm -D --defined-only '$prefix/lib/lua/5.4/mascon.so' | grep ' lua_'"

# The manual page's examples, as they look in a terminal, are typed there.
page() {
  if command -v groff >/dev/null; then
    groff -mdoc -Tutf8 -rLL=200n -P-cbou "$prefix/share/man/man1/mascon.1"
  else
    sed -n "s/^\.Dl/     /p" "$prefix/share/man/man1/mascon.1" | sed "s/\\\\(aq/'/g"
  fi
}
page | sed -n 's/^ *\$ //p' >examples
check 'the manual page has examples' test "$(wc -l <examples)" -ge 3
while read -r line; do
  [ -z "$SAN" ] || [[ $line == *' -e '* ]] || line="$line --help" # training under sanitizers is other tests' work
  check "manual page: $line" env PATH="$prefix/bin:$PATH" bash -c "$line"
done <examples

cat >user.c <<'C'
#include <mascon.h>
#include <stdio.h>
int main(void) {
  float x[3] = {1, 2, 3}, y[3];
  int64_t shape[1] = {3};
  int mark = ms_scope_open();
  ms_tensor *t = ms_from_host(MS_F32, 1, shape, x, NULL);
  if (ms_to_host(t, y)) return printf("%s\n", ms_error()), 1;
  ms_scope_close(mark);
  return printf("%g %g %g\n", y[0], y[1], y[2]) < 0;
}
C
build_user() { ${CC:-cc} ${SAN:+-fsanitize=address,undefined} user.c -o user -I"$prefix/include" -L"$prefix/lib" -Wl,-rpath,"$prefix/lib" -lmascon; }
check 'a C program compiles against it' build_user
check 'and runs' says '1 2 3' ./user
