#!/usr/bin/env bash
# Sharing the machine: what a step of W2 takes alone, beside programs that want the cores, beside another training, under a quota of one
# core, and when the process is stopped and goes on. Fair is the time alone x runnable threads / cores (2 threads of ours on 2 cores).
#   tests/bench/sharing.sh                      of build/mascon
#   OLD=path tests/bench/sharing.sh             of another binary too, in turn
#   ROUNDS=3 SECONDS_EACH=3 ONLY=name WRITE=1   WRITE puts the table into tests/bench/RESULTS.md; CGROUP=folder: the group goes there
# The quota wants a control group of its own, so root; without it that row is left out and said so.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-build} ROUNDS=${ROUNDS:-3} SECONDS_EACH=${SECONDS_EACH:-3} OLD=${OLD:-} ONLY=${ONLY:-}
export LUA_PATH="tests/lua/?.lua;tests/bench/?.lua;;"
unset MASCON_THREADS OMP_NUM_THREADS OMP_WAIT_POLICY GOMP_SPINCOUNT
cores=$(nproc)
work=$(mktemp -d)
others=() group=
leave() {
  [ ${#others[@]} -eq 0 ] || kill -KILL "${others[@]}" 2>/dev/null
  [ -z "$group" ] || rmdir "$group" 2>/dev/null
  rm -rf "$work"
}
trap leave EXIT

hog() {
  (trap - EXIT; while :; do :; done) &
  others+=($!)
}
train() { exec "$1" tests/bench/sharing.lua "$SECONDS_EACH"; }
quiet() {
  [ ${#others[@]} -eq 0 ] || { kill -KILL "${others[@]}" && wait "${others[@]}"; } 2>/dev/null
  others=()
}

# A control group that may use one core; sets group and its file of processes.
make_group() {
  local root
  for root in ${CGROUP:-} /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup /sys/fs/cgroup/unified; do
    group=$root/mascon-sharing.$$
    mkdir "$group" 2>/dev/null || continue
    if [ -e "$group/cpu.max" ] && echo '100000 100000' >"$group/cpu.max"; then return 0; fi
    if [ -e "$group/cpu.cfs_quota_us" ] && echo 100000 >"$group/cpu.cfs_period_us" && echo 100000 >"$group/cpu.cfs_quota_us"; then return 0; fi
    rmdir "$group"
  done 2>/dev/null
  group=
  return 1
}

# one NAME BINARY: milliseconds per step
one() {
  local pid
  case $1 in
  alone) (train "$2") ;;
  'one hog') hog && (train "$2") ;;
  'two hogs') hog && hog && (train "$2") ;;
  'two trainings')
    (trap - EXIT; train "$2") >/dev/null &
    others+=($!)
    (train "$2")
    ;;
  'quota of one core') (echo "$BASHPID" >"$group/cgroup.procs" && MASCON_THREADS=$cores train "$2") ;;
  'quota, threads by it') (echo "$BASHPID" >"$group/cgroup.procs" && train "$2") ;;
  'stopped for a second')
    (trap - EXIT; train "$2") >"$work/out" &
    pid=$!
    sleep 2 && kill -STOP $pid && sleep 1 && kill -CONT $pid && wait $pid && cat "$work/out"
    ;;
  esac
  quiet
}
runnable() { # threads that want a core, ours among them
  case $1 in
  'one hog') echo $((cores + 1)) ;;
  'two hogs') echo $((cores + 2)) ;;
  'two trainings') echo $((2 * cores)) ;;
  quota*) echo $((cores * cores)) ;; # cores threads on one core
  *) echo "$cores" ;;
  esac
}

cases=(alone 'one hog' 'two hogs' 'two trainings' 'stopped for a second')
note=
if make_group; then cases+=('quota of one core' 'quota, threads by it'); else note='left out: the quota of one core (no control group could be made here)'; fi
binaries=("$BUILD/mascon")
[ -z "$OLD" ] || binaries=("$OLD" "${binaries[@]}")
for ((r = 0; r < ROUNDS; r++)); do
  for name in "${cases[@]}"; do
    [[ $name == *"$ONLY"* || $name == alone ]] || continue
    for b in "${!binaries[@]}"; do
      took=$(one "$name" "${binaries[b]}")
      echo "$took" >>"$work/$name.$b"
      echo "# $name, ${binaries[b]}: $took" >&2
    done
  done
done

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
table() {
  echo "Milliseconds per step of W2 (mean over $SECONDS_EACH s, median of $ROUNDS rounds), $cores cores; fair: the time alone x runnable threads / cores."
  [ -z "$OLD" ] || echo 'Before: OpenMP, 20,000 rounds of spinning.'
  echo
  echo "| |${OLD:+ before |} now | fair | now / fair |"
  echo "| --- |${OLD:+ ---: |} ---: | ---: | ---: |"
  local last=$((${#binaries[@]} - 1)) alone now
  alone=$(median "$work/alone.$last")
  for name in "${cases[@]}"; do
    [ -e "$work/$name.0" ] || continue
    now=$(median "$work/$name.$last")
    awk -v name="$name" -v old="${OLD:+$(median "$work/$name.0")}" -v now="$now" -v alone="$alone" -v n="$(runnable "$name")" -v c="$cores" \
      'BEGIN { fair = alone * n / c; printf "| %s |%s %.2f | %.2f | %.2f |\n", name, old == "" ? "" : sprintf(" %.2f |", old), now, fair, now / fair }'
  done
  [ -z "$note" ] || printf '\n%s\n' "$note"
}
table | tee "$work/table"
if [ -n "${WRITE:-}" ]; then
  results=tests/bench/RESULTS.md title='## Sharing the machine'
  awk -v title="$title" '/^## / { skip = $0 == title } !skip' "$results" >"$work/rest"
  { sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$work/rest" && printf '\n%s\n\n' "$title" && cat "$work/table"; } >"$results.new" && mv "$results.new" "$results"
fi
