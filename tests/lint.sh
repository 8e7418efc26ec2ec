#!/bin/sh
# C files as clang-format would write them, Lua files without a warning from luacheck.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0
c=$(find runtime kernels bindings tests -name '*.[ch]' -o -name '*.cu')
# shellcheck disable=SC2086
[ -z "$c" ] || clang-format --dry-run -Werror $c || bad=1
lua=$(find scripts tests -name '*.lua')
# shellcheck disable=SC2086
[ -z "$lua" ] || luacheck --quiet --no-color --config .luacheckrc $lua || bad=1
[ $bad = 0 ] && echo 'lint: clean'
exit $bad
