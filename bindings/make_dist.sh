#!/usr/bin/env bash
# make_dist.sh FILE.tar.gz: `make dist` calls it, after everything is built. The program with the libraries that a Debian without additions
# lacks, in one folder that runs where it is unpacked: bin/mascon finds them in lib/. What is not in it (the C library, gnuplot) is told in its
# README.
set -eu
out=$(realpath -m "$1")
name=$(basename "$out" .tar.gz)
top=$(mktemp -d "$BUILD/dist.XXXXXX")
trap 'rm -rf "$top"' EXIT
root=$top/$name
mkdir -p "$root/bin" "$root/lib" "$root/share/man/man1" "$root/share/licenses"
install -m 755 "$BUILD/dist/mascon" "$root/bin/mascon"
strip "$root/bin/mascon"

# Every library that the program or another of them needs, but those of the C library: they belong to the kernel and the loader of the
# machine. oneDNN is opened when a convolution wants it.
is_system() { case $1 in libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux* | linux-vdso*) return 0 ;; esac; return 1; }
needs() { ldd "$1" | sed -nE 's/^\s*(\S+) => (\/\S+).*/\1 \2/p'; }
licence() { # the licence of the package that a library came in
  local package
  package=$(dpkg -S "$(realpath "$1")" 2>/dev/null | sed 's/:.*//' | head -n 1) || return 0
  [ -n "$package" ] && [ -f "/usr/share/doc/$package/copyright" ] && cp -L "/usr/share/doc/$package/copyright" "$root/share/licenses/$package" || true
}
queue=("$root/bin/mascon")
dnnl=$(ldconfig -p | sed -nE 's/^\s*libdnnl\.so\.[0-9]+ .*=> (.*)/\1/p' | sort | tail -n 1)
if [ -n "$dnnl" ]; then
  cp -L "$dnnl" "$root/lib/" && licence "$dnnl"
  queue+=("$dnnl")
fi
while [ ${#queue[@]} -gt 0 ]; do
  while read -r soname path; do
    is_system "$soname" && continue
    [ -e "$root/lib/$soname" ] && continue
    cp -L "$path" "$root/lib/$soname" && licence "$path"
  done < <(needs "${queue[0]}")
  queue=("${queue[@]:1}")
done

cp LICENSE README.md "$root/"
install -m 644 "$BUILD/docs/mascon.1" "$root/share/man/man1/mascon.1"
mkdir -p "$root/share/mascon/examples"
cp scripts/*.lua "$root/share/mascon/examples/"
cp -r scripts/lab scripts/wgan "$root/share/mascon/examples/"
cp -r scripts/tutorial "$root/share/mascon/tutorial"
cp -r "$BUILD/docs/html" "$root/share/mascon/html"
cp -r "$BUILD/docs/stubs" "$root/share/mascon/stubs"
glibc=$(objdump -T "$root/bin/mascon" "$root"/lib/* | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d_ -f2)
cat >"$root/README.first" <<TEXT
mascon $VERSION for Linux on $(uname -m). Nothing needs to be built or installed:

    bin/mascon                                        the prompt
    bin/mascon share/mascon/examples/NAME.lua         an experiment; --help lists its options

share/mascon/tutorial has five short pages to begin with, share/mascon/html the reference.

In here: the program with its Lua part, and the libraries in lib/.
Of the system it needs the C library (glibc $glibc or newer: $(. /etc/os-release && echo "$PRETTY_NAME") has it), and
    gnuplot                 for figures                (Debian: gnuplot-nox)
    libcurl.so.4            for downloads              (Debian: libcurl4)
    libhdf5                 for MATLAB files 7.3       (Debian: libhdf5-103-1)
    Fashion-MNIST           downloaded, or Debian's    (Debian: dataset-fashion-mnist)
each only when it is used; a message says so where one is missing.
TEXT
mkdir -p "$(dirname "$out")"
tar -C "$top" --owner=0 --group=0 --sort=name -c "$name" | gzip "${GZIP_LEVEL:--6}" >"$out.new"
mv "$out.new" "$out"
echo "$out: $(du -k "$out" | cut -f1) kB; with $(ls "$root/lib" | tr '\n' ' '); glibc $glibc or newer"
