#!/usr/bin/env bash
# What others are given: `make deb`, unpacked in a folder of its own, and `make dist`, unpacked where nothing of this tree is near, run; the
# archive takes its libraries from itself and only the C library from the machine. The rockspec names what is built.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build} SAN=${SAN:-}
if [ -n "$SAN" ]; then
  echo 'skipped: packages are made of a build without sanitizers'
  exit 0
fi
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
code=0
check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$top/out" 2>&1; then
    echo "ok $name"
  else
    echo "not ok $name"
    cat "$top/out"
    code=1
  fi
}
add="print((require \"mascon\".tensor{1,2,3} + 1):sum():item(), require \"mascon\".conv2d(ms.ones{1,2,4,4}, ms.ones{2,1,3,3}, nil, {groups=2}):sum():item())"
bare() { env -i HOME="$top" PATH=/usr/bin:/bin "$@"; }
adds() { [ "$(bare "$1" -e "$add" 2>&1)" = $'9.0\t72.0' ] || { bare "$1" -e "$add" && return 1; }; }

if command -v dpkg-deb >/dev/null; then
  check 'make deb' env DEB_COMPRESS=-Znone make --no-print-directory deb BUILD="$BUILD" DEB="$top/mascon.deb"
  check 'the package says what it needs' bash -c "dpkg-deb -f '$top/mascon.deb' Depends | grep -q 'libc6.*libjansson4'"
  check 'and has a version and a size' bash -c "dpkg-deb -f '$top/mascon.deb' Version Installed-Size | grep -c '[0-9]' | grep -qx 2"
  check 'it unpacks' dpkg -x "$top/mascon.deb" "$top/root"
  check 'its program runs' adds "$top/root/usr/bin/mascon"
  check 'manual pages are in it' test -s "$top/root/usr/share/man/man1/mascon.1.gz" -a -s "$top/root/usr/share/man/man3/mascon.3.gz"
  check 'nothing but /usr' test "$(ls "$top/root")" = usr
else
  echo 'skipped: there is no dpkg-deb here'
fi

check 'make dist' env GZIP_LEVEL=-1 make --no-print-directory dist BUILD="$BUILD" DIST="$top/mascon-here.tar.gz"
mkdir "$top/elsewhere"
check 'the archive unpacks' tar -C "$top/elsewhere" -xzf "$top/mascon-here.tar.gz"
home=$top/elsewhere/mascon-here
check 'its program runs' adds "$home/bin/mascon"
own() { # what is mapped after a convolution that is oneDNN's: the archive's own libraries, and of the machine the C library alone
  bare "$home/bin/mascon" -e "$add for line in io.lines '/proc/self/maps' do print(line:match '/%S+$' or '') end" >"$top/maps" || return 1
  grep -q "^$home/lib/libdnnl" "$top/maps" && grep -q "^$home/lib/libjansson" "$top/maps" || { cat "$top/maps" && return 1; }
  ! grep '\.so' "$top/maps" | grep -v "^$home/" | grep -vE '/(lib(c|m|dl|pthread|rt)|ld-linux[^/]*)(-[0-9.]*)?\.so'
}
check 'its libraries are its own' own
check 'its README says what it needs' grep -q 'glibc [0-9.]* or newer' "$home/README.first"
check 'licences of what is in it' test -s "$home/share/licenses/libjansson4" -a -s "$home/LICENSE"
check 'its first experiment says its options' bare "$home/bin/mascon" "$home/share/mascon/examples/mnist_autoencoder.lua" --help

# shellcheck disable=SC2016
check 'the rockspec names what is built' "$BUILD/mascon" -e '
  local rock, build = {}, arg[1]
  assert(loadfile("bindings/mascon-scm-1.rockspec", "t", rock))()
  assert(rock.package == "mascon" and rock.build.type == "make")
  for _, kind in pairs(rock.build.install) do
    for _, file in pairs(kind) do assert(io.open((file:gsub("^build/", build .. "/")), "rb")):close() end
  end' "$BUILD"
if command -v luarocks >/dev/null; then
  check 'luarocks accepts the rockspec' luarocks lint bindings/mascon-scm-1.rockspec
fi
exit $code
