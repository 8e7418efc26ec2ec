#!/usr/bin/env bash
# Every reader of foreign bytes on damaged files, under address and undefined-behaviour sanitizers, for FUZZ_SECONDS (600) each: files of
# tests/fuzz/seeds.c and of FUZZ_CORPUS (a folder with folders idx, image, npz, ... of further sound files), changed at random and by
# what reaches new code (libFuzzer, which comes with clang). Prints `ok NAME` or `not ok NAME`, and where the file is that fell over.
# FUZZ_ONLY=npz: this one only. FUZZ_SEED=1: the same numbers each time.
set -u
cd "$(dirname "$0")/../.." || exit 2
CLANG=${CLANG:-clang} SECONDS_EACH=${FUZZ_SECONDS:-600} BUILD=${BUILD:-build}/fuzz
if ! command -v "$CLANG" >/dev/null; then
  echo "skipped: no $CLANG"
  exit 0
fi
mkdir -p "$BUILD" || exit 2
flags=(-g -O1 -std=gnu11 -fopenmp -Iruntime "-fsanitize=address,undefined" -fno-sanitize-recover=all
  -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
# The readers and what they stand on; no tensors.
parts=(runtime/io/{text,stored,source,file,safetensors,json,zip,zip_write,packed}.c runtime/core/{interrupt,error,dtype}.c)
for part in runtime/data/*.c; do
  case $part in */loader.c | */folder.c) ;; *) parts+=("$part") ;; esac
done
libs=(-ljansson -lz -lm)
failed=0
objects=()
for part in "${parts[@]}"; do objects+=("$BUILD/$(basename "$part" .c).o"); done
printf '%s\n' "${parts[@]}" | xargs -P "$(nproc)" -I{} sh -c '"$@" -c -o "$0/$(basename {} .c).o" {}' \
  "$BUILD" "$CLANG" "${flags[@]}" -fsanitize=fuzzer-no-link -w || exit 1
"$CLANG" "${flags[@]/,undefined/}" -w -c -o "$BUILD/seeds.o" tests/fuzz/seeds.c || exit 1
"$CLANG" "${flags[@]}" -o "$BUILD/seeds" "$BUILD/seeds.o" "${objects[@]}" "${libs[@]}" || exit 1
for target in tests/fuzz/fuzz_${FUZZ_ONLY:-*}.c; do
  name=$(basename "$target" .c)
  kind=${name#fuzz_}
  if ! "$CLANG" "${flags[@]}" -fsanitize=fuzzer -o "$BUILD/$name" "$target" "${objects[@]}" "${libs[@]}"; then
    echo "not ok $name: it does not build"
    failed=1
    continue
  fi
  [ -d "$BUILD/seed/$kind" ] || "$BUILD/seeds" "$BUILD/seed" || exit 1
  mkdir -p "$BUILD/corpus/$kind" "$BUILD/bad"
  more=()
  [ -z "${FUZZ_CORPUS:-}" ] || more=("$FUZZ_CORPUS/$kind")
  if "$BUILD/$name" -max_total_time="$SECONDS_EACH" ${FUZZ_SEED:+-seed=$FUZZ_SEED} -max_len=20000 -timeout=20 -rss_limit_mb=1500 -print_final_stats=1 \
    -artifact_prefix="$BUILD/bad/$kind-" "$BUILD/corpus/$kind" "$BUILD/seed/$kind" "${more[@]}" >"$BUILD/$name.log" 2>&1; then
    echo "ok $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$BUILD/$name.log") inputs in $SECONDS_EACH s"
  else
    echo "not ok $name"
    tail -n 30 "$BUILD/$name.log"
    failed=1
  fi
done
exit $failed
