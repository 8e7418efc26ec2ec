#!/bin/bash
# A session at the prompt outlives any number of Ctrl-C (SIGINT), at random moments of whatever takes long, and stops it soon; a fit that
# was stopped leaves the old model; random lines do it no harm.
#   MASCON_ROUNDS=n  rounds for each kind of work (1); one round is one, two and five signals
#   MASCON_SEED=n    of the moments (1)
MASCON=${MASCON:-build/mascon}
rounds=${MASCON_ROUNDS:-1}
RANDOM=${MASCON_SEED:-1}
soon=${SAN:+15000} soon=${soon:-5000} # ms from the signal to the next answer: 300 on a quiet machine, and this may not be one
work=$(mktemp -d)
failed=0
mkfifo "$work/in"
"$MASCON" -i <"$work/in" >"$work/out" 2>"$work/err" &
session=$!
exec 3>"$work/in"
trap 'exec 3>&-; kill -KILL $session 2>/dev/null; rm -rf "$work"' EXIT
ms() { date +%s%3N; }
say() { printf '%s\n' "$1" >&3; }

serial=0 begun=0
# answered: wait until what was said is done, and give the milliseconds in $took; false when it takes too long or the session is gone.
answered() {
  local begin
  begin=$(ms) serial=$((serial + 1))
  say "io.write('answer $serial', '\\n') io.flush()"
  until grep -q "^answer $serial\$" "$work/out"; do
    took=$(($(ms) - begin))
    [ $took -lt "$soon" ] && kill -0 $session 2>/dev/null || return 1
    sleep 0.01
  done
  took=$(($(ms) - begin))
}
verdict() {
  if [ -z "$2" ]; then echo "ok $1"; else
    echo "not ok $1"
    printf '# %s\n' "$2"
    tail -n 5 "$work/err" | sed 's/^/# /'
    failed=1
  fi
}

# interrupt NAME CODE [SETUP]: say the code, which never ends, and one, two, five signals at random moments.
interrupt() {
  local worst=0 problem='' before i n round
  [ -z "${3:-}" ] || say "$3"
  answered || problem='no answer before it'
  for ((round = 1; round <= rounds; round++)); do
    for n in 1 2 5; do
      [ -z "$problem" ] || break
      before=$(grep -c interrupted "$work/err")
      begun=$((begun + 1))
      say "io.write('begin $begun', '\\n') io.flush() $2"
      until grep -q "^begin $begun\$" "$work/out" || ! kill -0 $session; do sleep 0.01; done
      sleep 0.0$((RANDOM % 8 + 2))
      for ((i = 0; i < n; i++)); do
        kill -INT $session
        [ $i = $((n - 1)) ] || sleep 0.0$((RANDOM % 6))
      done
      answered || problem="no answer after $n signals, $took ms"
      [ "$took" -le "$worst" ] || worst=$took
      [ "$(grep -c interrupted "$work/err")" -gt "$before" ] || problem=${problem:-it was over before}
    done
  done
  verdict "$1" "$problem"
  echo "# $1: $worst ms at most"
}

side=${SAN:+1500} side=${side:-5000} # unoptimised, a strip of it takes long

interrupt plain_loop 'while true do end'
interrupt protected_calls 'while true do pcall(function() while true do pcall(error) end end) end'
interrupt coroutines 'while true do pcall(coroutine.wrap(function() while true do pcall(coroutine.wrap(function() while true do end end)) end end)) end'
interrupt clean_up_that_does_not_end 'local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end'
interrupt reading 'while true do pcall(function() local f <close> = io.open("/dev/zero") f:read(1e6) end) end'
interrupt training 'while true do pcall(step, x, y) end' 'model = nn.sequential { nn.linear(64, 256), nn.relu(), nn.linear(256, 5) } o = optim.adam(model:parameters())
step = ms.compile(function(x, y) local loss = nn.cross_entropy(model(x), y) o:zero_grad() loss:backward() o:step() return loss end)
x, y = ms.rand { 512, 64 }, ms.randint(1, 5, { 512 }) for i = 1, 5 do step(x, y) end'
verdict training_goes_on "$(say 'io.write("loss ", tostring(step(x, y):item() < 100), "\n") io.flush()'; answered; grep -q '^loss true' "$work/out" || echo 'the step is of no use any more')"
interrupt eager_training 'while true do local loss = nn.cross_entropy(model(x), y) o:zero_grad() loss:backward() o:step() end'
interrupt convolution 'while true do ms.conv2d(im, w) end' 'im, w = ms.rand { 32, 32, 64, 64 }, ms.rand { 64, 32, 3, 3 }'
interrupt product 'big:matmul(big)' "big = ms.rand { $side, $side }"
interrupt sorting 'while true do pcall(v.sort, v) end' 'v = ms.rand { 5e6 }'
interrupt neighbours 'knn:predict(a)' 'a, la = ms.rand { 5e4, 64 }, ms.randint(1, 5, { 5e4 }) knn = ml.knn { k = 5 }:fit(a, la)'
interrupt forest 'forest:fit(f, lf)' 'f, lf = ms.rand { 2e5, 8 }, ms.randint(1, 5, { 2e5 }) forest = ml.random_forest { trees = 100 }:fit(f[{ {1, 100} }], lf[{ {1, 100} }])'
verdict the_old_forest_is_there "$(say 'io.write("forest ", tostring(forest:predict(f).shape), "\n") io.flush()'; answered; grep -q '^forest {200000}' "$work/out" || echo 'gone')"
interrupt clusters 'km:fit(a)' 'km = ml.kmeans { clusters = 100, n_init = 1000 }'
interrupt components 'ml.pca { components = 5 }:fit(wide)' 'wide = ms.rand { 3000, 2500 }'
interrupt maps 'ml.tsne():fit_transform(a)' 'a = ms.rand { 3e4, 20 }'
printf '%s\n' "$(seq 1 400000 | sed 's/$/,1,2,3,4,5,6,7,8/')" >"$work/big.csv"
interrupt loading "while true do ms.load('$work/big.csv') end"
interrupt writing "while true do ms.data.write_npz('$work/big.npz', { v = v }, { compress = true }) end"
say 'io.write("kept ", tostring(knn:predict(a[{ {1, 10} }]:size(2) == 20 and ms.rand { 10, 64 } or a).shape), "\n") io.flush()'
answered
grep -q '^kept {10}' "$work/out" && echo "ok everything_is_still_there" || verdict everything_is_still_there "$(tail -n 3 "$work/out")"
exec 3>&-
wait $session
[ $? = 0 ] && echo "ok it_ends_when_told" || verdict it_ends_when_told 'another exit code'

# Random lines: no crash, the session answers to the end, and no tensor is left of them. MASCON_LINES=n: so many (400).
lines=${MASCON_LINES:-400}
"$MASCON" tests/prompt_lines.lua "$lines" "${MASCON_SEED:-1}" >"$work/lines"
timeout 170 "$MASCON" -i <"$work/lines" >"$work/out" 2>"$work/err"
code=$?
[ $code = 0 ] && [ "$(grep -ac '^alive' "$work/out")" = $((lines / 50)) ] && verdict random_lines '' || verdict random_lines "exit code $code, $(grep -ac '^alive' "$work/out") answers"
grep -aq '^live 0$' "$work/out" && verdict no_tensor_is_left '' || verdict no_tensor_is_left "$(tail -n 1 "$work/out")"
grep -a '^mascon: mascon/' "$work/err" >"$work/ours" && verdict no_error_names_the_library "$(head -n 3 "$work/ours")" || verdict no_error_names_the_library ''
[ $failed = 0 ]
