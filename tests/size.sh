#!/bin/sh
# Lines per folder, without blank ones, and the longest files: a file past 600 lines wants dividing.
cd "$(dirname "$0")/.." || exit 2
find Makefile .ci runtime kernels bindings scripts tests -type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.def' -o -name '*.lua' \
  -o -name '*.sh' -o -name '*.mk' -o -name '*.py' -o -name Makefile -o -path '.ci/*' \) -print | while read -r f; do
  printf '%d %s\n' "$(grep -c '[^[:space:]]' "$f")" "$f"
done | awk '
  { n = split($2, part, "/"); dir = n == 1 ? "." : part[1]; for (i = 2; i < n; i++) dir = dir "/" part[i]
    files[dir]++; lines[dir] += $1; top = n == 1 ? "." : part[1]; ft[top]++; lt[top] += $1; all += $1; f++
    if ($1 > 600) long = long sprintf("  %s: %d lines\n", $2, $1) }
  END {
    for (d in files) printf "%-24s %5d files %7d lines\n", d, files[d], lines[d] | "sort"
    close("sort")
    for (d in ft) printf "%-24s %5d files %7d lines\n", "= " d, ft[d], lt[d] | "sort"
    close("sort")
    printf "%-24s %5d files %7d lines\n", "all", f, all
    if (long) printf "past 600 lines:\n%s", long
  }'
