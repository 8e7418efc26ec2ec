#!/bin/sh
# stress_lua.sh DIR: build DIR/liblua.a, a Lua whose collector runs a full cycle wherever it could run a step (HARDMEMTESTS in Lua's own
# source: every allocation of a string, table, closure, userdata) and that checks every call of its C interface (LUA_USE_APICHECK).
# The source is that of the distribution's package, fetched with a private apt configuration; the system's is left alone.
# Exit 1, with the reason, when it is not to be had.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [ -f "$dir/liblua.a" ]; then exit 0; fi
command -v apt-get >/dev/null || { echo "stress_lua: no apt-get to fetch Lua's source with" >&2; exit 1; }
command -v dpkg-source >/dev/null || { echo "stress_lua: dpkg-source (package dpkg-dev) is missing" >&2; exit 1; }

rm -rf "$dir/apt" "$dir/source"
mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
for f in /etc/apt/sources.list.d/*.sources; do
  if [ -f "$f" ]; then sed 's/^Types:.*/Types: deb-src/' "$f" > "$dir/apt/parts/$(basename "$f")"; fi
done
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  if [ -f "$f" ]; then sed -n 's/^deb /deb-src /p' "$f" > "$dir/apt/parts/$(basename "$f" .list).list"; fi
done
apt() {
  apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/apt/parts" -o Dir::State::Lists="$dir/apt/lists" \
    -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root "$@"
}
echo "gcstress: fetching and building lua5.4's source package"
if ! { apt update && cd "$dir" && apt source --download-only lua5.4; } > "$dir/log" 2>&1; then
  tail -n 20 "$dir/log" >&2
  echo "stress_lua: the source package of lua5.4 is not to be had (above)" >&2
  exit 1
fi
cd "$dir"
# The signature was checked by apt, from the archive's signed index.
dpkg-source --no-check -x lua5.4_*.dsc source > "$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
cd source/src
grep -q HARDMEMTESTS llimits.h || { echo "stress_lua: this Lua knows no HARDMEMTESTS" >&2; exit 1; }
# MASCON_GC_EVERY=n collects at every n-th chance only, for tests that make very many objects; 1, every one, unless told otherwise.
cat > stress.h <<'H'
#ifndef stress_h
#define stress_h
#include <stdlib.h>
static inline int stress_now(void) {
  static long every, count;
  if (every == 0) {
    const char *s = getenv("MASCON_GC_EVERY");
    every = s && atol(s) > 0 ? atol(s) : 1;
  }
  return ++count % every == 0;
}
#endif
H
sed 's/if (gcrunning(G(L)))/if (gcrunning(G(L)) \&\& stress_now())/' llimits.h > llimits.new
grep -q stress_now llimits.new || { echo "stress_lua: llimits.h is not as expected" >&2; exit 1; }
mv llimits.new llimits.h
for f in l*.c; do
  case $f in lua.c | luac.c) continue ;; esac
  ${CC:-cc} -O2 -g -fPIC -std=gnu99 -DLUA_USE_LINUX -DHARDMEMTESTS -DLUA_USE_APICHECK -include stress.h -c "$f" -o "${f%.c}.o"
done
ar rcs "$dir/liblua.a" ./*.o
