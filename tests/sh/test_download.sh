#!/usr/bin/env bash
# Downloads, from a server of our own (build/tests/test_download --serve; tests/c/test_download.c says what it does and tests the rest).
set -u
cd "$(dirname "$0")/../.." || exit 1
MASCON=${MASCON:-$PWD/${BUILD:-build}/mascon}
top=$(mktemp -d)
mkfifo "$top/hold"
"${BUILD:-build}/tests/test_download" --serve <"$top/hold" >"$top/port" &
exec 7>"$top/hold"
trap 'exec 7>&-; rm -rf "$top"' EXIT
for _ in $(seq 100); do [ ! -s "$top/port" ] && sleep 0.05; done
export WEB="http://127.0.0.1:$(cat "$top/port")" TOP=$top MASCON_OFFLINE=0 XDG_CACHE_HOME=$top/cache MASCON_DATA=''
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
soon=${SAN:+15000} soon=${soon:-5000} # ms; 300 on a quiet machine

check() { # check NAME: the Lua on standard input ends well
  { echo 'local ms = require "mascon"' && cat; } >"$top/script.lua"
  if (cd "$top" && "$MASCON" script.lua) >"$top/out" 2>&1; then echo "ok $1"; else
    echo "not ok $1"
    cat "$top/out"
  fi
}

check 'a file and its digests' <<'END'
local path = os.getenv "TOP" .. "/a.mat"
local url = os.getenv "WEB" .. "/good"
assert(ms.data.download(url, path) == path)
local n = assert(io.open(path, "rb")):read "a"
assert(#n == 100000)
local md5 = require("mascon.inside").data.digest(path, "md5")
assert(ms.data.download(os.getenv "WEB" .. "/missing", path, { md5 = md5 }) == path, "what is there and right is taken")
os.remove(path)
assert(ms.data.download({ os.getenv "WEB" .. "/missing", os.getenv "WEB" .. "/wrong", url }, path, { md5 = md5, size = 100000 }))
assert(require("mascon.inside").data.digest(path, "md5") == md5)
END

check 'what cannot be had says why, and leaves nothing' <<'END'
local path, web = os.getenv "TOP" .. "/b.mat", os.getenv "WEB"
local function says(url, options, ...)
  local ok, message = pcall(ms.data.download, url, path, options)
  assert(not ok)
  for _, part in ipairs { ... } do assert(message:find(part, 1, true), message) end
  assert(not io.open(path))
end
says(web .. "/missing", nil, "b.mat is not to be had:\n", "/missing: ", "404")
says({ web .. "/wrong", web .. "/round" }, { md5 = ("0"):rep(32) }, "/wrong: not the file that was meant: its md5 is ", "expected 0000",
  "\n  " .. web .. "/round: ")
assert(not io.open(path .. ".part"), "what is wrong is not gone on with")
says(web .. "/much", { size = 100000 }, "sends more than the 100000 bytes")
says(web .. "/stall", { stall_timeout = 0.5 }, "nothing came for 0.5 seconds (1000 bytes so far)")
assert(io.open(path .. ".part"):seek "end" == 1000)
assert(ms.data.download(web .. "/good", path) == path, "the rest of it")
assert(not io.open(path .. ".part"))
assert(#io.open(path, "rb"):read "a" == 100000)
END

check 'a file that is cut off again and again' <<'END'
local path, web = os.getenv "TOP" .. "/c.mat", os.getenv "WEB"
for have = 40000, 80000, 40000 do
  local ok, message = pcall(ms.data.download, web .. "/cut", path)
  assert(not ok and message:find(("(%d bytes so far)"):format(have), 1, true), message)
end
assert(ms.data.download(web .. "/cut", path) == path)
END

check 'the part of another address, or of another state of the file' <<'END'
local path, web = os.getenv "TOP" .. "/f.mat", os.getenv "WEB"
local function bytes(k) -- as the server sends them
  local list = {}
  for i = 0, 99999 do list[i + 1] = string.char((i * 7 + i // 256 + k) % 256) end
  return table.concat(list)
end
local function contents()
  local f <close> = io.open(path, "rb")
  return f:read "a"
end
local function none(name) assert(not io.open(name), name) end
assert(not pcall(ms.data.download, web .. "/stall", path, { stall_timeout = 0.5 })) -- 1,000 bytes of one file
assert(ms.data.download(web .. "/wrong", path) == path)
assert(contents() == bytes(1), "made of two files")
none(path .. ".part")
none(path .. ".part.from")
local left <close> = assert(io.open(path .. ".part", "wb")) -- nobody knows of what
left:write(("x"):rep(100000)):close()
assert(ms.data.download(web .. "/good", path, { size = 100000 }) == path)
assert(contents() == bytes(0), "a part of unknown origin")
assert(not pcall(ms.data.download, web .. "/tagged", path)) -- 40,000 bytes, tagged "one"; then it is another file
assert(ms.data.download(web .. "/tagged", path) == path)
assert(contents() == bytes(1), "made of two states of a file")
-- with a digest the part of another mirror is as good
local md5 = require("mascon.inside").data.digest(path, "md5")
assert(not pcall(ms.data.download, web .. "/stall", path .. "2", { stall_timeout = 0.5 }))
assert(not pcall(ms.data.download, web .. "/cut", path .. "2", { md5 = md5 }))
assert(io.open(path .. "2.part"):seek "end" == 41000)
END

check 'misuse' <<'END'
for want, list in pairs {
  ["expected an address (http or https), got a number"] = { 3, "x" },
  ["expected the name of a file second, got nil"] = { "http://x" },
  ["md5: expected 32 hexadecimal digits, got xyz"] = { "http://x", "y", { md5 = "xyz" } },
  ["begins with http:// or https://, got ftp://x"] = { "ftp://x", os.getenv "TOP" .. "/y" },
  ["stall_timeout: expected seconds above 0"] = { "http://x", "y", { stall_timeout = -1 } },
} do
  local ok, message = pcall(ms.data.download, table.unpack(list))
  assert(not ok and message:find(want, 1, true), message)
end
END

# The sets: the mirror that $MASCON_MIRROR names is asked first. (Port 1 refuses; the public ones are out of reach or have what is meant.)
check 'a set that is nowhere says what was tried' <<'END'
require("mascon.web").sets.svhn.mirrors = {}
local ok, message = pcall(ms.data.svhn, { data = os.getenv "TOP", prefix = false, download = false })
assert(not ok and message:find("nothing was downloaded: download = false", 1, true), message)
END
export MASCON_MIRROR="$WEB/wrong"
check 'a set whose mirror has something else' <<'END'
require("mascon.web").sets.svhn.mirrors = {}
local ok, message = pcall(ms.data.svhn, { data = os.getenv "TOP", prefix = false })
for _, part in ipairs { "looked for train_32x32.mat in\n", "(option data): no such", "the download of train_32x32.mat (into ", "/cache/mascon/svhn) failed:",
  "its md5 is ", "expected e26dedcc434d2e4c54c9b2d4a06d8373", "name theirs by the option data or by $MASCON_DATA" } do
  assert(not ok and message:find(part, 1, true), part .. " in: " .. message)
end
END
export MASCON_OFFLINE=1
check 'offline' <<'END'
local ok, message = pcall(ms.data.kmnist, { data = os.getenv "TOP" })
assert(not ok and message:find("nothing was downloaded: MASCON_OFFLINE is set", 1, true), message)
ok, message = pcall(ms.data.download, os.getenv "WEB" .. "/good", os.getenv "TOP" .. "/d")
assert(not ok and message:find("MASCON_OFFLINE is set", 1, true), message)
END

# Ctrl-C while bytes come slowly: the end is soon, and what has come is gone on with.
export MASCON_OFFLINE=0
"$MASCON" -e 'ms.data.download(os.getenv "WEB" .. "/slow", os.getenv "TOP" .. "/e.mat")' >"$top/out" 2>&1 &
pid=$!
for _ in $(seq 200); do [ ! -s "$top/e.mat.part" ] && sleep 0.02; done
begin=$(date +%s%3N)
kill -INT $pid
wait $pid
code=$? took=$(($(date +%s%3N) - begin))
if [ $code = 130 ] && [ $took -le "$soon" ] && [ -s "$top/e.mat.part" ] && [ ! -e "$top/e.mat" ]; then echo 'ok Ctrl-C'; else
  echo "not ok Ctrl-C: exit code $code after $took ms"
  cat "$top/out"
fi
check 'and goes on' <<'END'
local path = os.getenv "TOP" .. "/e.mat"
assert(io.open(path .. ".part"):seek "end" > 0)
assert(ms.data.download(os.getenv "WEB" .. "/good", path) == path)
assert(#io.open(path, "rb"):read "a" == 100000)
END
exit 0
