#!/usr/bin/env bash
# Run what takes too long for every change: the other scripts of this folder, one after another; ONLY=name chooses. Exit status: 0 when
# all of them say so.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build} ONLY=${ONLY:-}
MASCON=$(realpath "$BUILD/mascon")
export BUILD MASCON LC_ALL=C.UTF-8 OMP_WAIT_POLICY=passive
unset MASCON_COMPILE LUA_INIT LUA_INIT_5_4
bad=0
for script in tests/soak/*.sh; do
  [[ $script != tests/soak/run.sh && $script == *"$ONLY"* ]] || continue
  echo "==== $script"
  bash "$script" || bad=1
done
exit $bad
