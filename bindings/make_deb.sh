#!/usr/bin/env bash
# make_deb.sh FILE.deb: `make deb` calls it, after everything is built. What `make install` installs, as a Debian package of the machine that
# this is; dependencies by dpkg-shlibdeps where that is there, else the packages that own the libraries.
set -eu
out=$(realpath -m "$1")
for tool in dpkg-deb dpkg; do
  command -v $tool >/dev/null || { echo "make deb: there is no $tool here; it makes packages on Debian and its kin" >&2 && exit 1; }
done
top=$(mktemp -d "$BUILD/deb.XXXXXX")
trap 'rm -rf "$top"' EXIT
root=$top/debian/mascon
$MAKE --no-print-directory -s install DESTDIR="$PWD/$root" PREFIX=/usr
multi=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch 2>/dev/null || true)
for file in "$root/usr/bin/mascon" "$root/usr/lib/lua/5.4/mascon.so" "$root/usr/lib/libmascon.so.0"; do strip "$file"; done
strip --strip-debug "$root/usr/lib/libmascon.a"
if [ -n "$multi" ]; then # where Debian's lua5.4 and linker look
  mkdir -p "$root/usr/lib/$multi/lua/5.4"
  mv "$root/usr/lib/lua/5.4/mascon.so" "$root/usr/lib/$multi/lua/5.4/"
  mv "$root"/usr/lib/libmascon.* "$root/usr/lib/$multi/"
  rmdir "$root/usr/lib/lua/5.4" "$root/usr/lib/lua"
fi
gzip -9n "$root"/usr/share/man/man?/mascon.?
mkdir -p "$root/usr/share/doc/mascon" "$root/DEBIAN"
cp LICENSE "$root/usr/share/doc/mascon/copyright"

# Libraries that are linked, and those that are opened when they are wanted.
printf 'Source: mascon\n\nPackage: mascon\nArchitecture: any\n' >"$top/debian/control"
elf=("${root#"$top/"}/usr/bin/mascon" "${root#"$top/"}/usr/lib/${multi:+$multi/}lua/5.4/mascon.so")
depends=$(cd "$top" && dpkg-shlibdeps -O "${elf[@]/#/-e}" 2>/dev/null | sed -n 's/^shlibs:Depends=//p') || depends=
if [ -z "$depends" ]; then
  depends=$(ldd "$root/usr/bin/mascon" | sed -nE 's/.*=> (\/[^ ]+).*/\1/p' | while read -r lib; do
    dpkg -S "$(realpath "$lib")" 2>/dev/null || dpkg -S "$lib" 2>/dev/null || true
  done | sed 's/:.*//' | sort -u | paste -sd, | sed 's/,/, /g')
fi
wanted() { # wanted SONAME PACKAGE: the package that has it on this machine, else PACKAGE
  local file
  file=$(ldconfig -p | sed -nE "s/^\s*$1.*=> (.*)/\1/p" | head -n 1)
  { [ -n "$file" ] && dpkg -S "$(realpath "$file")" 2>/dev/null; } | sed 's/:.*//' | head -n 1 | grep . || echo "$2"
}
depends="$depends, $(wanted 'libdnnl[.]so' libdnnl2)"
size=$(du -sk "$root" | cut -f1)
cat >"$root/DEBIAN/control" <<CONTROL
Package: mascon
Version: $VERSION
Architecture: $(dpkg --print-architecture)
Maintainer: $(git config user.name 2>/dev/null || echo mascon) <$(git config user.email 2>/dev/null || echo mascon@localhost)>
Installed-Size: $size
Depends: $depends
Recommends: gnuplot-nox | gnuplot, $(wanted 'libcurl[.]so' libcurl4), dataset-fashion-mnist
Suggests: $(wanted 'libhdf5_serial[.]so' libhdf5-103-1), lua5.4
Section: math
Priority: optional
Description: deep learning scripted in Lua
 A runtime for tensors, automatic differentiation, layers, optimizers, data
 and classical learning in C, with Lua 5.4 inside: experiments are Lua
 scripts, and a prompt looks at them.
CONTROL
mkdir -p "$(dirname "$out")"
dpkg-deb --root-owner-group ${DEB_COMPRESS:+$DEB_COMPRESS} --build "$root" "$out" >/dev/null
echo "$out: $(du -k "$out" | cut -f1) kB; depends on $depends"
