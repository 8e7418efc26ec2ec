#!/usr/bin/env bash
# Fail on an include that points back.
#   scripts -> bindings -> runtime -> backend.h <- kernels; inside runtime: data, ml -> io -> ops -> core <- step
# Lua's headers only in bindings, CUDA's only in kernels/cuda, oneDNN's only in kernels/cpu; the prompt's line editor only in bindings.
# A pass over a step names no operation but in runtime/step/rewrites.def; the core names nothing of the step.
#   deps.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
bad=0 arrows=0

# The layer a file belongs to.
layer() {
  case $1 in
  runtime/core/* | runtime/step/* | runtime/ops/* | runtime/data/* | runtime/io/* | runtime/ml/*) local l=${1#runtime/} && echo "${l%%/*}" ;;
  runtime/*/*) echo unknown ;;
  runtime/*) echo top ;; # mascon.h, backend.h, ops.def ...: the interfaces
  kernels/cuda/*) echo cuda ;;
  kernels/cpu/*) echo cpu ;;
  kernels/trace/*) echo trace ;;
  kernels/*) echo kernels ;;
  bindings/*) echo bindings ;;
  *) echo unknown ;;
  esac
}
# Which layers a layer may include, besides itself.
may() {
  case $1 in
  top) echo ;;
  core) echo top ;;
  ops) echo top core ;;
  step) echo top core ;; # it observes the core, which does not know it
  io) echo top core ops ;;
  data | ml) echo top core ops io ;; # they write their files with it; it knows none of them
  kernels) echo top ;;
  cpu | cuda | trace) echo top kernels ;;
  bindings) echo top core step ops data io ml ;;
  esac
}
complain() { echo "deps: $1" && bad=1; }
# Folders out of a path: a/b/../c -> a/c
tidy() { realpath -ms --relative-to=. "$1"; }

while IFS= read -r file; do
  from=$(layer "$file")
  [ "$from" != unknown ] || complain "$file: in a folder that has no place in the house"
  while IFS=: read -r line text; do
    arrows=$((arrows + 1))
    name=$(sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^>"]*)[>"].*/\1/' <<<"$text")
    if [[ $text == *\<* ]]; then
      allowed=
      case $name in
      lua.h | lualib.h | lauxlib.h | luaconf.h | lua.hpp | lua5.4/*) allowed=bindings ;;
      histedit.h | readline/* | editline/*) allowed=bindings ;;
      cuda* | cudnn* | cublas* | nvrtc* | nccl* | nv*.h) allowed=cuda ;;
      dnnl* | oneapi/*) allowed=cpu ;;
      mascon.h | backend.h) complain "$file:$line: own header \"$name\" in angle brackets" ;;
      esac
      [ -z "$allowed" ] || [ "$from" = "$allowed" ] || complain "$file:$line: <$name> belongs to $allowed, not to $from"
      continue
    fi
    to=
    for dir in "$(dirname "$file")" runtime .; do
      if [ -f "$dir/$name" ]; then
        to=$(tidy "$dir/$name")
        break
      fi
    done
    if [ -z "$to" ]; then # made by the build, or not there: the compiler will tell
      case $name in
      lua.h | lualib.h | lauxlib.h | dnnl* | cuda*) complain "$file:$line: a system header in quotes: \"$name\"" ;;
      esac
      continue
    fi
    target=$(layer "$to")
    [ "$target" = "$from" ] || [[ " $(may "$from") " == *" $target "* ]] || complain "$file:$line: $from must not know $target ($to)"
  done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' "$file")
done < <(find runtime kernels bindings -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.def' \) | sort)

# The core names nothing of the step's floor: it knows an observer.
while IFS= read -r hit; do complain "$hit: the core must not name the step's floor"; done < <(
  grep -nE '\bms_(step|record)_|ms_record\b|\bms_step\b|"step/' runtime/core/*.[ch]
)

# The passes over a step ask for traits; what they do to an operation of some name is in one table.
while IFS= read -r hit; do complain "$hit: names an operation; ask its row for a trait, or write a row of runtime/step/rewrites.def"; done < <(
  grep -nHE '\bMS_OP_[a-z]' runtime/step/*.[ch] kernels/cpu/fused.c 2>/dev/null
)

# The Lua part of the library knows no experiment.
while IFS= read -r hit; do complain "$hit: the library must not load an experiment"; done < <(
  for s in scripts/*.lua; do
    [ -f "$s" ] && grep -nE "(require|dofile|loadfile)[ (]*[\"'](scripts[./])?$(basename "$s" .lua)(\.lua)?[\"']" scripts/mascon -r
  done
)
[ $arrows -gt 0 ] || complain 'found no include at all'
[ $bad = 0 ] && echo "deps: $arrows includes, all point the right way"
exit $bad
