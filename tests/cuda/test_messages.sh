#!/usr/bin/env bash
# What the program says where a piece of CUDA is missing, and what the emulator finds: lines `ok NAME`, `not ok NAME`.
set -u
emulator=$PWD/$BUILD/tests/cuda bad=0
check() { # NAME EXPECTED GOT
  if [[ $3 == *"$2"* ]]; then echo "ok $1"; else echo "not ok $1: expected \"$2\", got \"$3\"" && bad=1; fi
}
ask() { env "$@" "$MASCON" -e 'print(pcall(require "mascon".device, "cuda"))' 2>&1; }
case $BUILD in /*) emulator=$BUILD/tests/cuda ;; esac

if ! ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
  check 'no driver' 'no cuda device: no NVIDIA driver is installed here' "$(ask MASCON_LIB="$emulator")"
fi
check 'no GPU' 'there is an NVIDIA driver, but it finds no GPU' "$(ask MASCON_LIB="$emulator" MASCON_CUDA_LIBS="$emulator" EMULATED_DEVICES=0)"
check 'an old driver' 'too old: it is of CUDA 11.4, needed is 12.0' \
  "$(ask MASCON_LIB="$emulator" MASCON_CUDA_LIBS="$emulator" EMULATED_VERSION=11040)"
mkdir -p "$TMPDIR/half"
echo 'int cuInit(unsigned f) { return (int)f; }' | ${CC:-cc} -shared -fPIC -x c -o "$TMPDIR/half/libcuda.so.1" -
check 'a missing function' 'libcuda.so.1 has no cuDriverGetVersion' "$(ask MASCON_LIB="$emulator" MASCON_CUDA_LIBS="$TMPDIR/half")"
check 'found by the second folder' 'an emulated GPU, sm_90' "$(ask MASCON_LIB="$emulator" MASCON_CUDA_LIBS="$TMPDIR:$emulator")"
# The real module knows no image of the emulator's driver, or has none.
case $(ask MASCON_LIB="${emulator%/tests/cuda}" MASCON_CUDA_LIBS="$emulator") in
*'no kernels for the GPU; `pip install nvidia-cuda-nvcc'* | *'an emulated GPU'*) echo 'ok the real module opens, or says how to get nvcc' ;;
*) echo 'not ok the real module' && bad=1 ;;
esac
exports=$(nm -D --defined-only "${emulator%/tests/cuda}/libmascon_cuda.so" | awk '{ print $3 }')
[ "$exports" = ms_backend_cuda ] && echo 'ok exports' || { echo "not ok exports: $exports" && bad=1; }

wrong=$emulator/wrong
check 'the emulator is lazy, and right' 'launch 0, copy 0, before the wait 0, wait 0, right, afterwards 0' "$("$wrong" neighbours 2>&1)"
check 'in any order' 'wait 0, right' "$(EMULATED_ORDER=5 "$wrong" neighbours 2>&1)"
check 'divergent barrier' 'not all threads of the block come to this barrier' "$("$wrong" divergent 2>&1)"
check 'its fault stays' 'wait 719, wrong, afterwards 719' "$("$wrong" divergent 2>&1)"
check 'different barriers' 'threads wait at different barriers' "$("$wrong" different 2>&1)"
check 'forgotten barrier' 'wait 0, wrong' "$("$wrong" forgotten 2>&1)"

for home in "${CUDA_HOME:-/usr/local/cuda}" "${VIRTUAL_ENV:-/nowhere}"/lib/python3*/site-packages/nvidia/cu13; do
  [ -f "$home/include/cuda.h" ] || continue
  if said=$(${CC:-cc} -Werror -I"$home/include" -Ikernels/cuda -o "$TMPDIR/declarations" tests/cuda/declarations.c 2>&1) &&
    said=$("$TMPDIR/declarations"); then echo "ok declarations agree with $home/include/cuda.h"; else echo "not ok declarations: $said" && bad=1; fi
  exit $bad
done
echo 'skipped: no cuda.h to compare our declarations with'
exit $bad
