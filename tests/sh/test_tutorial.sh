#!/usr/bin/env bash
# Every block of the tutorial and of the page for PyTorch's users is run as its reader would, in an empty folder, and what it prints is what
# the page says. Where Fashion-MNIST is not at hand, and under sanitizers (SAN=1), on a few pictures of our own in its place.
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
case $MASCON in /*) ;; *) MASCON=$PWD/$MASCON ;; esac
export MASCON
here=$PWD
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir "$top/first"
cd "$top/first" || exit 1

if [ -n "${SAN:-}" ] || ! "$MASCON" -e 'data.fashion_mnist { limit = 10 }' 2>/dev/null; then
  echo '# pictures of our own'
  "$MASCON" -e '
    ms.seed(1)
    assert(os.execute("mkdir -p " .. arg[1] .. "/fashion_mnist"))
    for part, n in pairs { train = 1000, t10k = 400 } do
      local y = ms.randint(0, 9, { n })
      local x = (ms.rand { n, 28, 28 } * 255 * (y:float():reshape { n, 1, 1 } / 9)):to "u8"
      ms.data.write_idx(("%s/fashion_mnist/%s-images-idx3-ubyte"):format(arg[1], part), x)
      ms.data.write_idx(("%s/fashion_mnist/%s-labels-idx1-ubyte"):format(arg[1], part), y:to "u8")
    end' "$top/data" || exit 1
  export MASCON_DATA=$top/data
fi
"$MASCON" "$here/tests/pages.lua" "$here"/scripts/tutorial/[1-5]-*.md
code=$?
for picture in some decoded latent between loss runs/autoencoder/latent; do
  [ -s "$picture.png" ] && echo "ok $picture.png" || { echo "not ok $picture.png" && code=1; }
done
"$MASCON" "$here/tests/pages.lua" "$here/scripts/tutorial/pytorch.md" || code=1

# What the runner must not let pass.
printf '```lua\n1 + 1 --> 3\n```\n```lua\nx = = 1\n```\n```lua\nnosuch.y = 1\n```\n```lua\n1\n--> 2\n```\n```lua\nprint(1) --> error: 1\n```\n' >wrong.md
found=$("$MASCON" "$here/tests/pages.lua" wrong.md 2>&1)
[ "$(grep -c '^not ok' <<<"$found")" = 5 ] && echo 'ok a page that is wrong is found' || { printf 'not ok a page that is wrong is found\n%s\n' "$found" && code=1; }
exit $code
