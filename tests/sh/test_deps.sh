#!/usr/bin/env bash
# tests/deps.sh must find an include that points back, wherever it stands, and leave alone those that do not.
set -u
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
deps=$PWD/tests/deps.sh

tree() { # a small house in which every arrow points the right way
  rm -rf "$top/house"
  mkdir -p "$top"/house/{runtime/{core,step,ops,ml,io},kernels/{cpu,cuda},bindings,scripts/mascon}
  cd "$top/house" || exit 1
  touch runtime/{mascon.h,core/core.h,ops/ops.h,ml/ml.h,io/io.h} kernels/cpu/cpu.h bindings/call.h scripts/first.lua
  echo '#include "mascon.h"' >runtime/backend.h
  echo '#include "../backend.h"' >runtime/core/a.c
  printf '#include "core/core.h"\n#include <math.h>\n' >runtime/ops/a.c
  printf '#include "ops/ops.h"\n#include "io/io.h"\n' >runtime/ml/a.c
  printf '#include "core/core.h"\nfold(MS_OP_##name);\n' >runtime/step/a.c
  printf '#include "backend.h"\n#include "cpu.h"\n#include <oneapi/dnnl/dnnl.h>\n' >kernels/cpu/a.c
  printf '#include "backend.h"\n#include <cuda_runtime.h>\n' >kernels/cuda/a.cu
  printf '#include "ml/ml.h"\n#include "call.h"\n#include <lua.h>\n' >bindings/a.c
}
points_back() { # points_back FILE LINE: with LINE added to FILE, deps.sh fails and names the file
  tree
  printf '%s\n' "$2" >>"$1"
  if out=$("$deps" .); then
    echo "not ok $1 with $2 passed"
  elif [[ $out == *"$1"* ]]; then
    echo "ok refused in $1: $2"
  else
    echo "not ok $1 with $2: the message does not name the file: $out"
  fi
}
tree
if out=$("$deps" .); then echo 'ok a tree without back arrows passes'; else echo "not ok a clean tree was refused: $out"; fi
points_back runtime/mascon.h '#include "core/core.h"'
points_back runtime/core/a.c '#include "../ops/ops.h"'
points_back runtime/ops/a.c '#include "ml/ml.h"'
points_back runtime/io/io.h '#include "ml/ml.h"'
points_back runtime/core/a.c '#include <lua.h>'
points_back runtime/ml/a.c '#  include <oneapi/dnnl/dnnl.h>'
points_back runtime/ops/a.c '#include <cuda_runtime.h>'
points_back runtime/core/core.h '#include "kernels/cpu/cpu.h"'
points_back kernels/cpu/a.c '#include "core/core.h"'
points_back kernels/cpu/a.c '#include <cudnn.h>'
points_back bindings/a.c '#include "../kernels/cpu/cpu.h"'
points_back runtime/core/a.c 'ms_step_run(s);'
points_back runtime/step/a.c 'if (op == MS_OP_add) return 1;'
points_back kernels/cpu/fused.c 'case MS_OP_sum:'
points_back scripts/mascon/fit.lua 'local first = require "first"'
