-- Sizes of 0: every row whose sample has sizes, with each of them replaced by 0 in turn. What runs forward also runs backward, twice, and
-- gives gradients of the right shapes; what cannot be says so in its own name.
-- gcstress: every 100
local lu = require "luaunit"
local ms = require "mascon"
local rows = require "rows"

local function draw(kind)
  return function(...)
    local sizes = { ... }
    if kind == "u" then sizes = { table.unpack(sizes, 3) } end
    if kind == "i" then return ms.randint(1, math.max(sizes[1], 1), { table.unpack(sizes, 2) }) end
    if kind == "b" then return ms.rand(sizes):gt(0.5) end
    return ms.rand(sizes, 0.2, 0.8):requires_grad_()
  end
end
local env = { n = draw "n", u = draw "u", d = draw "d", i = draw "i", b = draw "b" }

local function leaves(v, out)
  if rows.is_tensor(v) then
    if v.requires_grad then out[#out + 1] = v end
  elseif type(v) == "table" then
    for _, w in pairs(v) do leaves(w, out) end
  end
  return out
end

local function shape(t) return table.concat(t:size(), " ") end

local function gradients(y, xs, again)
  local list = table.pack(ms.grad(y:sum(), xs, { allow_unused = true }))
  if type(list[1]) == "table" then list = list[1] end
  for k, x in ipairs(xs) do
    local g = list[k]
    if g then
      lu.assertEquals(shape(g), shape(x))
      if again and g.requires_grad then gradients(g, xs, false) end
    end
  end
end

local function check(name, text)
  local ok, args = pcall(assert(load("return " .. text, text, "t", env)))
  if not ok then return false end -- the helper cannot draw such a tensor
  local results = table.pack(pcall(function()
    local r = table.pack(rows.f(rows.by_name[name])(table.unpack(args)))
    ms.synchronize() -- a device that works later tells here what was wrong
    return table.unpack(r, 1, r.n)
  end))
  if not results[1] then
    local message = tostring(results[2])
    lu.assertTrue(message:find(name, 1, true) ~= nil or message:find("expected", 1, true) ~= nil, text .. ": " .. message)
    return false
  end
  local xs = leaves(args, {})
  for k = 2, results.n do
    local y = results[k]
    if rows.is_tensor(y) and y.requires_grad then
      local fine, message = pcall(gradients, y, xs, true)
      if not fine then lu.fail(("%s %s, backward: %s"):format(name, text, message)) end
    end
  end
  return true
end

TestEmpty = {}

local ran = 0
for _, row in ipairs(rows.all) do
  if not row.elementwise and row.sample ~= "" then
    TestEmpty["test_" .. row.name] = function()
      for list in row.sample:gmatch "%b{}" do
        local sizes = {}
        for args in list:gmatch "%f[%w][nudib](%b())" do
          for size in args:gmatch "%d+" do sizes[size] = true end
        end
        for size in pairs(sizes) do
          local one = "%f[%d%.]" .. size .. "%f[^%d%.]"
          local in_tensors = list:gsub("%f[%w]([nudib])(%b())", function(kind, args) return kind .. args:gsub(one, "0") end)
          for _, text in ipairs { in_tensors, (list:gsub(one, "0")) } do
            if check(row.name, text) then ran = ran + 1 end
          end
        end
      end
    end
  end
end

function TestEmpty.test_zz_many_ran() lu.assertTrue(ran > 300, ran .. " ran") end

function TestEmpty.test_product_with_a_size_of_0()
  local a, b = ms.ones({ 2, 3, 4 }):requires_grad_(), ms.ones({ 4, 0 }):requires_grad_()
  ms.matmul(a, b):sum():backward()
  lu.assertEquals({ #a.grad, #b.grad }, { 2, 4 })
  lu.assertEquals(a.grad:abs():sum():item(), 0)
end

function TestEmpty.test_logsumexp_of_nothing()
  lu.assertEquals(ms.zeros({ 2, 0 }):logsumexp(2):totable(), { -math.huge, -math.huge })
end
