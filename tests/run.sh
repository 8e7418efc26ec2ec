#!/usr/bin/env bash
# Run the tests that were built, print one row per file, the whole output of what failed, and at the end the plain line
# `N passed, N failed, N skipped`. Exit status: 0 when nothing failed and something ran.
#   BUILD=build      where the program and the C tests are
#   ONLY=name        only files whose path has this in it
#   KINDS='c lua lazy cuda terminal sh'   lazy: Lua tests again, on a device that works only when it is waited for (tests/lazy);
#                    cuda: the module for NVIDIA's GPUs, on an emulated driver (tests/cuda)
#   SAN=1 STRESS=1   under sanitizers; under the Lua that collects all the time: longer timeouts, some tests left out by their kind
#   TIMEOUT=seconds  per file
#   JOBS=n           so many files of the kinds c, lua and lazy at once (1)
#   MASCON_COUNTS=f  append `passed failed skipped` to f
# A shell or terminal test prints lines `ok NAME`, `not ok NAME`, `skipped: WHY` and exits non-zero if it could not finish.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-build} ONLY=${ONLY:-} KINDS=${KINDS:-c lua lazy cuda terminal sh} SAN=${SAN:-} STRESS=${STRESS:-}
TIMEOUT=${TIMEOUT:-$([ -n "$SAN$STRESS" ] && echo 600 || echo 180)} JOBS=${JOBS:-1}
BUILD=${BUILD#"$PWD"/} # a test that calls make again must give it the same name, or everything is made anew
case $BUILD in /*) MASCON=$BUILD/mascon ;; *) MASCON=$PWD/$BUILD/mascon ;; esac

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
# Tests see no user's history, cache or settings, and leave nothing behind.
export BUILD SAN STRESS MASCON LC_ALL=C.UTF-8
export MASCON_OFFLINE=1 # nothing is downloaded
export LUA_PATH="tests/lua/?.lua;;"
unset LUA_PATH_5_4 LUA_INIT LUA_INIT_5_4 MASCON_COMPILE MASCON_THREADS
export OMP_WAIT_POLICY=passive # oneDNN: other work on the machine must not make spinning threads wait for each other
if [ -n "$SAN" ]; then
  export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:strict_string_checks=1:allocator_may_return_null=1
  export LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  # A stock lua5.4 that loads a sanitized mascon.so needs this first.
  ASAN_RUNTIME=$(${CC:-cc} -print-file-name=libasan.so)
  export ASAN_RUNTIME
fi

files=0
# What a file printed lies in $home/out, where home is its own folder. Sum of the numbers that an extended regular expression with one
# group finds there.
sum() { sed -nE "s/$1/\\1/p" "$home/out" | awk '{ n += $1 } END { print n + 0 }'; }
lines() { grep -cE "$1" "$home/out"; }

# one KIND FILE COMMAND...: run it, or begin to when JOBS allow it. Each file has a folder of its own in $home, in whose files lies what
# came of it: counts, and what is told about it at the end.
one() {
  local folder
  [[ -z $ONLY || $2 == *"$ONLY"* ]] || return 0
  files=$((files + 1))
  folder=$home/$(printf %04d $files)
  mkdir -p "$folder/tmp"
  case $1 in
  c | lua | lazy) ;;
  *) # alone: they make, install, or look at the clock
    wait
    file "$folder" "$@"
    return
    ;;
  esac
  while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n; done
  file "$folder" "$@" &
}

file() { # file FOLDER KIND FILE COMMAND...
  local home=$1 kind=$2 file=$3 p=0 f=0 s=0 rc start end try note=
  shift 3
  local -x HOME=$home XDG_CACHE_HOME=$home/cache TMPDIR=$home/tmp
  if [ -n "$STRESS" ]; then # a file that makes very many objects may say how often is often enough for it: -- gcstress: every 20
    MASCON_GC_EVERY=$(sed -n 's/^-- gcstress: every \([0-9][0-9]*\).*/\1/p' "$file" | head -n 1)
    export MASCON_GC_EVERY=${MASCON_GC_EVERY:-1}
    [ "$MASCON_GC_EVERY" = 1 ] || note="collects at every $MASCON_GC_EVERY-th allocation"
  fi
  start=$EPOCHREALTIME
  # LeakSanitizer sometimes dies itself as it looks through the threads of a program that has ended well ("Tracer caught signal"): that
  # says nothing of the program, which is run again, three times at most.
  for try in 1 2 3; do
    timeout -k 10 "$TIMEOUT" "$@" >"$home/out" 2>&1 </dev/null
    rc=$?
    [ $rc -ne 0 ] && grep -aq 'LeakSanitizer has encountered a fatal error' "$home/out" || break
    note="LeakSanitizer itself died in run $try"
  done
  end=$EPOCHREALTIME
  case $kind in
  c) p=$(sum '^\[  PASSED  \] ([0-9]+) test.*') f=$(sum '^\[  FAILED  \] ([0-9]+) test.*') s=$(sum '^\[  SKIPPED \] ([0-9]+) test.*') ;;
  lua)
    p=$(sum '^Ran [0-9]+ tests? in .*[^0-9]([0-9]+) success.*') s=$(sum '^Ran [0-9]+ tests? in .*[^0-9]([0-9]+) skipped.*')
    f=$(($(sum '^Ran [0-9]+ tests? in .*[^0-9]([0-9]+) failure.*') + $(sum '^Ran [0-9]+ tests? in .*[^0-9]([0-9]+) error.*')))
    ;;
  *) p=$(lines '^ok ') f=$(lines '^not ok ') s=$(lines '^skipped: ') ;;
  esac
  if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
    f=$((f + 1)) note="took more than $TIMEOUT s"
  elif [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
    f=1 note="exit status $rc"
  elif [ $((p + f + s)) -eq 0 ]; then
    f=1 note="ran no test"
  fi
  printf '%-44s %7d %7d %7d %8.1f%s\n' "$file" "$p" "$f" "$s" \
    "$(awk -v a="$start" -v b="$end" 'BEGIN { print b - a }')" "${note:+  $note}"
  echo "$p $f $s" >"$home/counts"
  grep -aoE 'compared: .*' "$home/out" >"$home/compared" # what a test says that it has compared with a peer's values
  if [ "$f" -gt 0 ]; then
    echo "failed: $file" >"$home/bad"
    { printf '\n---- %s%s\n' "$file" "${note:+: $note}" && grep -av ' \.\.\. Ok$' "$home/out"; } >"$home/failures"
  elif [ "$s" -gt 0 ]; then
    awk -v file="$file" '
      /^skipped: / { print file ": " $0 }
      /^\[  SKIPPED \] [A-Za-z_]/ { if (!seen[$4]++) print file ": skipped: " $4 }
      /\.\.\. SKIP$/ { name = $1; getline; print file ": skipped: " name ": " $0 }' "$home/out" >"$home/skips"
  fi
  rm -rf "$home/tmp" "$home/cache"
}

LAZY='core devices compile compile_memory compile_training compile_traps replay_captured replay_lua replay_numbers replay_right fold fuse heads traits
  layout layouts coroutine empty grad gradients optim optim_class optim_tools parity random steps precision save indexing choosing'
printf '%-44s %7s %7s %7s %8s\n' "file${SAN:+ (sanitized)}${STRESS:+ (collecting)}" passed failed skipped seconds
shopt -s nullglob
for kind in $KINDS; do
  case $kind in
  c) for t in tests/c/test_*.c; do one c "$t" "$BUILD/tests/$(basename "$t" .c)"; done ;;
  lua) for t in tests/lua/test_*.lua; do one lua "$t" "$MASCON" tests/lua/run.lua "$t"; done ;;
  lazy)
    for t in tests/lazy/test_*.lua $([ ! -d tests/lazy ] || printf 'tests/lua/test_%s.lua ' $LAZY); do
      one lua "$t" env MASCON_DEVICE=lazy MASCON_LIB="$BUILD/tests" "$MASCON" tests/lua/run.lua "$t"
    done
    ;;
  cuda)
    if [ -e "$BUILD/tests/cuda/libcuda.so.1" ]; then
      for t in tests/cuda/test_*.lua; do
        one lua "$t" env MASCON_LIB="$BUILD/tests/cuda" MASCON_CUDA_LIBS="$BUILD/tests/cuda" "$MASCON" tests/lua/run.lua "$t"
      done
      for t in tests/cuda/test_*.sh; do one sh "$t" bash "$t"; done
    elif [ -d tests/cuda ]; then
      mkdir -p "$home/cuda"
      echo '0 0 1' >"$home/cuda/counts"
      echo 'tests/cuda: skipped: no C++ compiler to build the emulator with' >"$home/cuda/skips"
    fi
    ;;
  terminal)
    if command -v tmux >/dev/null; then
      for t in tests/terminal/*.sh; do one terminal "$t" bash "$t" "$MASCON"; done
    else
      mkdir -p "$home/terminal"
      echo '0 0 1' >"$home/terminal/counts"
      echo 'tests/terminal: skipped: tmux is not installed' >"$home/terminal/skips"
    fi
    ;;
  sh) for t in tests/sh/test_*.sh; do one sh "$t" bash "$t"; done ;;
  esac
done
wait
read -r passed failed skipped < <(cat /dev/null "$home"/*/counts | awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
told() { cat /dev/null "$home"/*/"$1"; } # of all files, in their order
compared=$(told compared | sort -u) skips=$(told skips) bad=$(told bad)
[ -z "$compared" ] || printf '\n%s\n' "$compared"
[ -z "$skips" ] || printf '\n%s\n' "$skips"
told failures
echo
[ -z "$bad" ] || echo "$bad"
[ -z "${MASCON_COUNTS:-}" ] || echo "$passed $failed $skipped" >>"$MASCON_COUNTS"
if [ $((passed + failed)) -eq 0 ]; then
  echo "nothing ran${ONLY:+: no test file has \"$ONLY\" in its name}"
  failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
