-- compiled: what the tests of ms.compile share.
local lu = require "luaunit"
local ms = require "mascon"
local compiled = {}

-- Does the default device work later than it is asked (tests/lazy)? Then a wrong index is told when somebody waits, and what the script has
-- asked for meanwhile is left out.
compiled.late = ms.ones({ 1 }).device == "lazy"

local function same(a, b, path)
  if type(a) ~= "table" or type(b) ~= "table" then
    if a ~= b and (a == a or b == b) then lu.fail(("%s: %s and %s"):format(path, a, b), 4) end
    return
  end
  lu.assertEquals(#a, #b, path)
  for i = 1, #a do same(a[i], b[i], path .. "[" .. i .. "]") end
end

-- Tensors (or lists of them) with the same bits.
function compiled.same_bits(a, b, what)
  what = what or "value"
  if type(a) == "table" then
    lu.assertEquals(#a, #b, what)
    for i = 1, #a do compiled.same_bits(a[i], b[i], what .. " " .. i) end
    return
  end
  lu.assertEquals(a.shape, b.shape, what)
  lu.assertEquals(a.dtype, b.dtype, what)
  same(a:totable(), b:totable(), what)
end

-- The step of a world, 20 times as it is and 20 times compiled, with the same seed: the same bits in everything it gives and leaves.
-- make() -> function, list of arguments (or a function of the call's number giving it), list of tensors that it changes.
function compiled.like_eager(make, calls)
  local function world(compile)
    ms.seed(7)
    local f, arguments, kept = make()
    local step, given = compile and ms.compile(f) or f, {}
    for i = 1, calls or 20 do
      local list = type(arguments) == "function" and arguments(i) or arguments
      local r = table.pack(step(table.unpack(list)))
      for k = 1, r.n do given[#given + 1] = r[k]:detach():clone() end
    end
    for _, t in ipairs(kept or {}) do
      given[#given + 1] = t
      if t.grad then given[#given + 1] = t.grad end
    end
    given[#given + 1] = ms.rand { 3 } -- the generator stands where it should
    return given, step
  end
  local eager, replayed, step = world(false), world(true)
  compiled.same_bits(eager, replayed)
  return step
end

-- Does the step replay? (Its report then begins with what is replayed.)
function compiled.replays(step) return step:report():find("operations replayed", 1, true) ~= nil end

-- The message of an error that f(...) must raise, with all these parts.
function compiled.raises(parts, f, ...)
  local ok, message = pcall(f, ...)
  if ok then ok, message = pcall(ms.synchronize) end
  if ok then lu.fail("no error", 3) end
  for _, part in ipairs(type(parts) == "table" and parts or { parts }) do
    if not tostring(message):find(part, 1, true) then lu.fail(("'%s' is not in: %s"):format(part, message), 3) end
  end
  return message
end

return compiled
