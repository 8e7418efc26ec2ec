# What the tests and the soak of kill -9 and --resume share. MASCON: the program; top: a scratch folder; SCRIPT and NETS: the experiment and
# its checkpoints, those of the first one unless they are set.
SCRIPT=${SCRIPT:-scripts/mnist_autoencoder.lua} NETS=${NETS:-codes plane denoise}

# run_killed SECONDS OUT ARGUMENTS...: the experiment into OUT, going on where a run has begun, killed with -9 after SECONDS; 0 if that kill
# hit it, 1 if it had ended well before, 2 if it failed by itself.
run_killed() {
  local seconds=$1 out=$2 resume=
  shift 2
  [ ! -f "$out/run.json" ] || resume=--resume
  "$MASCON" "$SCRIPT" --out "$out" $resume "$@" >"$top/log" 2>&1 &
  local pid=$!
  sleep "$seconds"
  if kill -9 $pid 2>/dev/null; then
    wait $pid 2>/dev/null
    [ $? -eq 137 ] && return 0
  fi
  wait $pid 2>/dev/null || { cat "$top/log"; return 2; }
  return 1
}

# finish OUT ARGUMENTS...: the same to its end.
finish() {
  local out=$1 resume=
  shift
  [ ! -f "$out/run.json" ] || resume=--resume
  "$MASCON" "$SCRIPT" --out "$out" $resume "$@" >"$top/log" 2>&1 || { cat "$top/log"; return 1; }
}

# same_result A B: the nets byte for byte, the figures of summary.json, and each epoch of metrics.jsonl once, in order, with the same
# numbers; nothing hidden is left in B but what A has.
same_result() {
  local net
  for net in $NETS; do
    cmp "$1/$net.safetensors" "$2/$net.safetensors" || return 1
  done
  "$MASCON" -e '
    local log = require "mascon.log"
    local function text(v) return require("mascon.json").encode(v) end
    local a, b = log.read(arg[1] .. "/summary.json"), log.read(arg[2] .. "/summary.json")
    for k, v in pairs(a) do
      if type(v) == "number" and k ~= "seconds" then assert(v == b[k], ("%s: %s and %s"):format(k, v, b[k])) end
    end
    local x, y = log.read_lines(arg[1] .. "/metrics.jsonl"), log.read_lines(arg[2] .. "/metrics.jsonl")
    assert(#x == #y, ("%d and %d lines of metrics"):format(#x, #y))
    for i, row in ipairs(x) do
      for _, r in ipairs { row, y[i] } do r.seconds, r.time = nil, nil end
      assert(row.epoch == i and text(row) == text(y[i]), "line " .. i .. " of metrics.jsonl differs")
    end' "$1" "$2" || return 1
  [ -z "$(find "$2" -name '*mascon-tmp')" ] || { ls -A "$2"; return 1; }
}

# killed_at TIMES OUT ARGUMENTS...: run_killed after each of these times; some kill must hit, and no run may fail by itself.
killed_at() {
  local times=$1 hits=0 at rc
  shift
  for at in $times; do
    run_killed "$at" "$@"
    rc=$?
    [ $rc -ne 2 ] || return 1
    [ $rc -ne 0 ] || hits=$((hits + 1))
  done
  [ $hits -gt 0 ] || { echo 'no kill hit' && return 1; }
}

# check NAME COMMAND...: does the command end well? What it says is shown where it does not.
check() {
  local name=$1
  shift
  if "$@" >"$top/out" 2>&1; then
    echo "ok $name"
  else
    echo "not ok $name"
    cat "$top/out"
  fi
}

# fails_with STATUS TEXT COMMAND...: the command fails with that exit status and that text in its message; says TEXT COMMAND...: with 1.
fails_with() {
  local status=$1 want=$2 rc
  shift 2
  "$@" >"$top/said" 2>&1
  rc=$?
  cat "$top/said"
  [ $rc -eq "$status" ] && grep -qF -- "$want" "$top/said" || { echo "exit status $rc, expected $status and: $want" && return 1; }
}
says() { fails_with 1 "$@"; }

# make_images FOLDER TRAIN TEST [LABELS]: a set with the files of MNIST, of noise that is brighter the greater the label. LABELS: the first
# of them, a digit each.
make_images() {
  mkdir -p "$1" && "$MASCON" -e '
    ms.seed(7)
    local folder, first = arg[1], arg[4] or ""
    for i, part in ipairs { "train", "t10k" } do
      local n = math.tointeger(arg[i + 1])
      local y = ms.randint(0, 9, { n })
      for k = 1, #first do y[k] = tonumber(first:sub(k, k)) end
      local x = (ms.rand { n, 28, 28 } * 255 * (y:float():reshape { n, 1, 1 } / 9)):to "u8"
      ms.data.write_idx(("%s/%s-images-idx3-ubyte"):format(folder, part), x)
      ms.data.write_idx(("%s/%s-labels-idx1-ubyte"):format(folder, part), y:to "u8")
    end' "$@"
}
