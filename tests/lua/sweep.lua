-- mascon tests/lua/sweep.lua [-v]: every function of the library and every event of its metatables with arguments that make no sense.
-- It must come to its end: each call gives a value or raises. Runs in a folder of its own (some of the calls write files).
-- Prints how many functions and calls there were. -v: each function's name before it is called, to find the one that falls over.
local ms = require "mascon"
local inside = require "mascon.inside"
local verbose = arg[1] == "-v"

-- What makes later calls fail on purpose, and what takes long because the files are there.
local LEFT_OUT = { ["ms.fail_allocation"] = true, ["ms.data.find"] = true, ["ms.data.mnist"] = true, ["ms.data.fashion_mnist"] = true,
  ["ms.data.kmnist"] = true, ["ms.data.svhn"] = true }

-- ---- what is called --------------------------------------------------------------------------------------------------------------

local functions, seen = {}, {}
local function collect(name, t, depth)
  if seen[t] or depth > 5 then return end
  seen[t] = true
  local keys = {}
  for k, v in next, t do
    if type(k) == "string" then keys[#keys + 1] = { k, v } end
  end
  table.sort(keys, function(a, b) return a[1] < b[1] end)
  for _, pair in ipairs(keys) do
    local path, v = name .. "." .. pair[1], pair[2]
    if type(v) == "function" and not seen[v] and not LEFT_OUT[path] then
      seen[v] = true
      functions[#functions + 1] = { path, v }
    elseif type(v) == "table" then
      collect(path, v, depth + 1)
    end
  end
  local meta = debug.getmetatable(t)
  if type(meta) == "table" then collect("meta(" .. name .. ")", meta, depth + 1) end
end

for _, name in ipairs(debug.getmetatable(ms).__dir(ms)) do local _ = ms[name] end -- what is loaded on first use
for _, t in pairs { _G, package.loaded, string, table, os, io, debug, math } do seen[t] = true end
for _, f in pairs { os.exit, print, io.read, io.lines } do seen[f] = true end
collect("ms", ms, 0)
for name, meta in pairs(debug.getregistry()) do
  if type(name) == "string" and type(meta) == "table" and name:find "^mascon" then collect(name, meta, 0) end
end

-- ---- with what -------------------------------------------------------------------------------------------------------------------

local closed = io.tmpfile()
closed:close()
local freed, scope
do
  scope = ms.scope()
  freed = ms.zeros { 3 }
  scope:close()
end
local writer = ms.tensorboard "events"
writer:close()
local finished = coroutine.create(function() end)
coroutine.resume(finished)
local step = ms.compile(function(x) return x end)

local function values()
  return { true, 3, -1, 0.5, 0 / 0, math.maxinteger, math.mininteger, "abc", "", "a\0b", {}, { 1, 2, 3 }, { x = 1 }, function() end,
    finished, io.stderr, closed, ms.zeros { 2, 3 }, ms.zeros { 0 }, ms.tensor({ 1, 2 }, { dtype = "i64" }), freed, scope, writer, step,
    inside.cell(1), ms.nn.linear(2, 3), ms.zeros { 2 }.shape, ms.no_grad() }
end

local calls = 0
local function call(f, ...)
  calls = calls + 1
  pcall(f, ...)
end

for _, entry in ipairs(functions) do
  local name, f = table.unpack(entry)
  local begun = ms.time()
  if verbose then io.stderr:write(name, "\n") end
  local v = values()
  call(f)
  call(f, nil, nil, nil)
  for i = 1, #v do
    call(f, v[i])
    call(f, v[i], v[i % #v + 1])
    call(f, v[i], v[(i + 6) % #v + 1], v[(i + 12) % #v + 1], v[(i + 19) % #v + 1])
    call(f, ms.ones { 2, 3 }, v[i])
    call(f, nil, v[i])
    call(f, { v[i] })
    call(f, { v[i], v[i] }, v[i])
  end
  if verbose and ms.time() - begun > 0.5 then io.stderr:write(("%.1f s\n"):format(ms.time() - begun)) end
  ms.enable_grad()
end
collectgarbage()
collectgarbage()
print(("%d functions, %d calls"):format(#functions, calls))
