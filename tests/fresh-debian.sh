#!/usr/bin/env bash
# The README's promise, tried: a new Debian in a temporary folder (debootstrap, minbase), a clean clone in it, `make run`, `make test`.
# Needs root, debootstrap and a Debian mirror; nothing of this machine is visible inside but the clone. Cleans up after itself.
#   fresh-debian.sh [--setup-only] [--user] [--worktree] [--suite bookworm]
#   --setup-only  try only what `make run` and `make test` install
#   --user        as an ordinary user who may use sudo, instead of root
#   --worktree    the files as they lie here (ignored ones left out) instead of a clone of HEAD
set -eu
if [ -z "${FRESH_NAMESPACE:-}" ]; then
  [ "$(id -u)" = 0 ] || { echo 'fresh-debian: must be root (debootstrap, chroot)' >&2 && exit 2; }
  command -v debootstrap >/dev/null || { echo 'fresh-debian: debootstrap is missing' >&2 && exit 2; }
  # Mounts made in here end with the namespace, so that removing the folder can never reach through one.
  FRESH_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi
here=$(cd "$(dirname "$0")/.." && pwd)
commands=('make run' 'make test') who=root worktree='' suite=bookworm
while [ $# -gt 0 ]; do
  case $1 in
  --setup-only) commands=('make setup' 'make setup-test') ;;
  --user) who=ada ;;
  --worktree) worktree=1 ;;
  --suite) suite=$2 && shift ;;
  *) sed -n 's/^#   \(fresh-debian.sh .*\)/usage: \1/p' "$0" >&2 && exit 2 ;;
  esac
  shift
done

top=$(mktemp -d "${TMPDIR:-/tmp}/fresh-debian.XXXXXX")
root=$top/root
cleanup() {
  local m
  for m in dev/shm dev/pts sys proc; do umount -l "$root/$m" 2>/dev/null || true; done
  rm -rf --one-file-system "$top"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
say() { printf '\n==== %s\n' "$*"; }

mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}
say "debootstrap $suite from $mirror"
SECONDS=0
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$top/log" 2>&1 || { tail -n 30 "$top/log" && exit 1; }
echo "$SECONDS s"
[ ! -f /etc/apt/sources.list.d/debian.sources ] || ! grep -qw "$suite" /etc/apt/sources.list.d/debian.sources || {
  cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
  rm -f "$root/etc/apt/sources.list"
}
for f in /etc/apt/apt.conf.d/*; do # how to reach the mirror from here: proxies, dates
  if grep -qiE '^Acquire::(Check|https?|Retries)' "$f"; then cp "$f" "$root/etc/apt/apt.conf.d/"; fi
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"

in_root() { # in_root USER COMMAND
  local home
  home=$(awk -F: -v user="$1" '$1 == user { print $6 }' "$root/etc/passwd")
  chroot --userspec="$1" "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" \
    TERM=xterm LANG=C.UTF-8 USER="$1" ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    /bin/bash -c "$2" </dev/null
}
say 'make, which a machine must have before anything can be made'
tools='make'
[ $who = root ] || tools='make sudo'
in_root root "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $tools" >"$top/log" 2>&1 ||
  { tail -n 30 "$top/log" && exit 1; }
home=root
if [ $who != root ]; then
  in_root root "useradd -m -s /bin/bash $who && echo '$who ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/$who"
  home=home/$who
fi

say 'the clone'
if [ -n "$worktree" ]; then
  mkdir "$root/$home/mascon"
  (cd "$here" && git ls-files -z -co --exclude-standard | xargs -0 tar c --ignore-failed-read) | tar x -C "$root/$home/mascon"
else
  git clone -q --no-hardlinks "$here" "$root/$home/mascon"
fi
[ $who = root ] || in_root root "chown -R $who: /$home/mascon"
report=() rc=0
for command in "${commands[@]}"; do
  say "$command ($who)"
  SECONDS=0
  if in_root $who "cd /$home/mascon && $command"; then
    report+=("$command: passed, $SECONDS s")
  else
    report+=("$command: FAILED, $SECONDS s") rc=1
  fi
done
say "fresh $suite, $(uname -m), $(nproc) cores"
printf '%s\n' "${report[@]}"
exit $rc
