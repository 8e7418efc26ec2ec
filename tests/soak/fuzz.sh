#!/usr/bin/env bash
# Every reader of foreign bytes on damaged files, under address and undefined-behaviour sanitizers, for FUZZ_SECONDS (300) each: files of
# tests/fuzz/seeds.c and of FUZZ_CORPUS (a folder with folders idx, image, mat, safetensors of further sound files), changed at random and by
# what reaches new code (libFuzzer, which comes with clang). Prints `ok NAME` or `not ok NAME`, and where the file is that fell over.
set -u
cd "$(dirname "$0")/../.." || exit 2
CLANG=${CLANG:-clang} SECONDS_EACH=${FUZZ_SECONDS:-300} BUILD=${BUILD:-build}/fuzz
if ! command -v "$CLANG" >/dev/null; then
  echo "skipped: no $CLANG"
  exit 0
fi
mkdir -p "$BUILD" || exit 2
flags=(-g -O1 -std=gnu11 -fopenmp -Iruntime "-fsanitize=address,undefined" -fno-sanitize-recover=all
  -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
parts=(runtime/data/idx.c runtime/data/image.c runtime/data/png.c runtime/data/jpeg.c runtime/data/stb.c runtime/data/mat.c
  runtime/data/mat_contents.c runtime/data/mat_values.c runtime/io/text.c runtime/io/stored.c runtime/io/source.c runtime/io/file.c
  runtime/io/safetensors.c runtime/io/json.c runtime/core/interrupt.c runtime/core/error.c runtime/core/dtype.c)
libs=(-ljansson -lz -lm)
failed=0
"$CLANG" "${flags[@]/,undefined/}" -w -o "$BUILD/seeds" tests/fuzz/seeds.c "${parts[@]}" "${libs[@]}" || exit 1
for target in tests/fuzz/fuzz_*.c; do
  name=$(basename "$target" .c)
  kind=${name#fuzz_}
  if ! "$CLANG" "${flags[@]}" -fsanitize=fuzzer -o "$BUILD/$name" "$target" "${parts[@]}" "${libs[@]}"; then
    echo "not ok $name: it does not build"
    failed=1
    continue
  fi
  [ -d "$BUILD/seed/$kind" ] || "$BUILD/seeds" "$BUILD/seed" || exit 1
  mkdir -p "$BUILD/corpus/$kind" "$BUILD/bad"
  more=()
  [ -z "${FUZZ_CORPUS:-}" ] || more=("$FUZZ_CORPUS/$kind")
  if "$BUILD/$name" -max_total_time="$SECONDS_EACH" -max_len=20000 -timeout=20 -rss_limit_mb=1500 -print_final_stats=1 \
    -artifact_prefix="$BUILD/bad/$kind-" "$BUILD/corpus/$kind" "$BUILD/seed/$kind" "${more[@]}" >"$BUILD/$name.log" 2>&1; then
    echo "ok $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$BUILD/$name.log") inputs in $SECONDS_EACH s"
  else
    echo "not ok $name"
    tail -n 30 "$BUILD/$name.log"
    failed=1
  fi
done
exit $failed
