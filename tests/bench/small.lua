-- small: what the runtime itself costs: one small operation, start-up, and memory of a loop that drops its temporaries.
local ms = require "mascon"

local function per_call(n, f)
  for _ = 1, n // 10 do f() end
  local times = {}
  for k = 1, 7 do
    local t0 = ms.time()
    for _ = 1, n do f() end
    times[k] = (ms.time() - t0) / n * 1e6
  end
  table.sort(times)
  return times[4], times[1], times[7]
end

local a, b = ms.randn { 4 }, ms.randn { 4 }
local function row(name, median, least, most) print(("%-44s %8.3f us  (%.3f .. %.3f)"):format(name, median, least, most)) end

print("one operation from Lua, result dropped (median of 7, least .. most)")
row("add, two tensors of 4 elements", per_call(200000, function() return a + b end))
row("multiply by a number", per_call(200000, function() return a * 2 end))
row("add in place", per_call(200000, function() a:add_(b) end))
local w = ms.randn({ 4 }, { dtype = "f32" }):requires_grad_()
row("add with a node for the derivative", per_call(100000, function() return w + b end))
local m, n = ms.randn { 8, 8 }, ms.randn { 8, 8 }
row("matmul 8 x 8 x 8", per_call(100000, function() return ms.matmul(m, n) end))

-- Tab in a session with 10,000 globals; the bar of each is 5 ms.
do
  local complete = require "mascon.complete"
  rawset(_G, "ms", ms)
  rawset(_G, "net", ms.nn.sequential { ms.nn.linear(2, 3), ms.nn.relu() })
  for i = 1, 10000 do rawset(_G, ("variable_%05d"):format(i), i) end
  print "\nTab with 10,000 globals, bar 5,000 us (median of 7, least .. most)"
  for _, line in ipairs { "", "vari", "variable_0123", "ms.nn.", "net:", "net[1].", "ms.optim.adam(x, { ", "ms.randn { 2 }:",
    "ms.load('tests/" } do
    complete.line(line)
    row("'" .. line .. "'", per_call(10, function() complete.line(line) end))
  end
  for i = 1, 10000 do rawset(_G, ("variable_%05d"):format(i), nil) end
end

-- The same step with and without scopes; ms.memory counts bytes in tensors.
local function loop(steps, size, scoped)
  collectgarbage()
  ms.memory "release"
  ms.memory "reset"
  local x, y = ms.randn { size, 256 }, ms.randn({ 256, 256 }):requires_grad_()
  local function body()
    local loss = (ms.matmul(x, y):tanh() - x):square():mean()
    y.grad = nil
    loss:backward()
  end
  for _ = 1, steps do
    if scoped then
      local scope <close> = ms.scope()
      body()
    else
      body()
    end
  end
  return ms.memory().peak / 1e6
end
print "\npeak of a training loop that drops its temporaries, MB in tensors"
for _, size in ipairs { 16, 256, 1024, 8192 } do
  local with, without = loop(200, size, true), loop(200, size, false)
  print(("%6d rows: with scopes %7.1f   without %7.1f   ratio %.2f"):format(size, with, without, without / with))
end
