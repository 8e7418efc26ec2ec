-- transforms.base: what a transform is -- how it is called, where its random numbers come from, how it prints itself.
--
-- A kind of transform is a table with a name and apply(self, x, draws) -> x. x is a batch, N x C x H x W or N x anything. Random ones ask
-- draws for a row of numbers per item, which the item's key alone determines: what becomes of it depends neither on the other items of the
-- batch, nor on their order, nor on threads or device. All draw for every item in each call, so that the numbers of one transform do not
-- depend on what others did.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local fail = options.raise
local base = {}

-- ---- random numbers per item -------------------------------------------------------------------------------------------------------

local Draws = {}
Draws.__index = Draws

-- N x count uniform numbers in [0, 1), f32, others at each call.
function Draws:uniform(count)
  if not self.keys then self.keys = ms.randint(0, 1 << 62, { self.n }, { device = self.device }) end
  self.stream = self.stream + 1
  return inside.item_uniform(self.keys, count, self.stream)
end

-- N numbers from low to high.
function Draws:between(low, high) return self:uniform(1):reshape { self.n } * (high - low) + low end

-- N whole numbers (f32) from low to high, both included; high a number or a tensor of N.
function Draws:whole(low, high)
  return ms.minimum((self:uniform(1):reshape { self.n } * (high - low + 1)):floor() + low, high)
end

-- N truth values, each true with probability p.
function Draws:chance(p) return self:uniform(1):reshape { self.n }:lt(p) end

-- N x count normal numbers (Box and Muller 1958).
function Draws:normal(count)
  local half = (count + 1) // 2
  local u = self:uniform(2 * half)
  local radius, angle = (-2 * (1 - u[{ {}, { 1, half } }]):log()):sqrt(), 2 * math.pi * u[{ {}, { half + 1, -1 } }]
  local z = ms.cat({ radius * angle:cos(), radius * angle:sin() }, 2)
  return 2 * half == count and z or z[{ {}, { 1, count } }]
end

-- ---- transforms --------------------------------------------------------------------------------------------------------------------

local Transform = { __name = "mascon.transform" }
Transform.__index = Transform

function base.is_transform(t) return type(t) == "table" and debug.getmetatable(t) == Transform end

-- A value as transforms print it.
local function value_text(v)
  if type(v) == "table" then
    local parts = {}
    for i, e in ipairs(v) do parts[i] = value_text(e) end
    return "{ " .. table.concat(parts, ", ") .. " }"
  end
  if type(v) == "string" then return ("%q"):format(v) end
  return math.type(v) == "float" and ("%.6g"):format(v) or tostring(v)
end

function Transform:__tostring()
  if self.list then -- compose and its like
    local lines = {}
    for i, t in ipairs(self.list) do lines[i] = "  " .. tostring(t):gsub("\n", "\n  ") end
    local words = self.p and ("p = %s, "):format(value_text(self.p)) or ""
    return ("%s { %s\n%s\n}"):format(self.name, words, table.concat(lines, ",\n")):gsub(" +\n", "\n")
  end
  local words = {}
  for i, name in ipairs(self.shown or {}) do
    if self[name] ~= nil and self[name] ~= false then words[#words + 1] = name .. " = " .. value_text(self[name]) end
    words[i] = words[i] or nil
  end
  return ("%s(%s)"):format(self.name, table.concat(words, ", "))
end

-- t(x [, keys]) -> x transformed. x: a batch whose first dimension counts the items (images N x C x H x W), or one image C x H x W. keys:
-- an i64 tensor, one number for each item, by which the random transforms draw: the same key, the same change. Without keys they are drawn
-- by the default generator.
function Transform:__call(x, keys, ...)
  options.none(self.name, ...)
  if not ms.is_tensor(x) then fail("%s: expected a batch, a tensor, got %s", self.name, type(x)) end
  if x:dim() < 2 then fail("%s: expected a batch N x ..., got %s", self.name, base.shape_text(x)) end
  local one = x:dim() == 3
  if one then x = x:unsqueeze(1) end
  if keys ~= nil then
    if not ms.is_tensor(keys) or keys.dtype ~= "i64" or keys:dim() ~= 1 or #keys ~= #x then
      fail("%s: keys: expected a tensor of %d i64, one for each item, got %s", self.name, #x,
        ms.is_tensor(keys) and base.shape_text(keys) or type(keys))
    end
  end
  local y = base.apply(self, x, setmetatable({ n = #x, keys = keys, device = x.device, stream = 0 }, Draws))
  return one and y:squeeze { 1 } or y
end

-- Apply t as part of another: t's checks, then t.
function base.apply(t, x, draws)
  if t.floating and x.dtype ~= "f32" and x.dtype ~= "f64" and x.dtype ~= "f16" and x.dtype ~= "bf16" then
    fail("%s: expected floating images, got %s; convert_image_dtype makes such", t.name, base.shape_text(x))
  end
  if t.images and x:dim() ~= 4 then fail("%s: expected images N x C x H x W or C x H x W, got %s", t.name, base.shape_text(x)) end
  return t:apply(x, draws)
end

-- t:inverse() -> the transform that undoes t; raises where there is none.
function Transform:inverse()
  if not self.undo then fail("%s: it has no inverse", self.name) end
  return self:undo()
end

-- A transform: fields name, apply, shown (names of the fields that print), images, floating, random; and its settings.
function base.new(t) return setmetatable(t, Transform) end

-- A transform of what is given: one already, or a function of a batch.
function base.of(what, v)
  if base.is_transform(v) then return v end
  local meta = debug.getmetatable(v)
  for name, maker in pairs(type(v) == "function" and package.loaded["mascon.transforms"] or {}) do
    if v == maker then fail("%s: expected a transform, got the function that makes one; write T.%s(...)", what, name) end
  end
  if type(v) == "function" or type(v) ~= "string" and meta and meta.__call then
    return base.new { name = "lambda", random = true, apply = function(_, x, draws)
      local y = v(x, draws.keys)
      if not ms.is_tensor(y) then fail("lambda: expected a tensor from the function, got %s", type(y)) end
      return y
    end }
  end
  return fail("%s: expected a transform or a function, got %s", what, type(v))
end

-- ---- arguments ---------------------------------------------------------------------------------------------------------------------

function base.shape_text(x) return table.concat(x.shape, " x ") .. " " .. x.dtype end

function base.is_number(v) return type(v) == "number" and v == v and math.abs(v) < math.huge end

function base.number(what, name, v, low, high)
  if not base.is_number(v) or low and v < low or high and v > high then
    fail("%s: %s: expected a number%s, got %s", what, name, low and high and (" in %g..%g"):format(low, high) or
      low and (" from %g on"):format(low) or "", tostring(v))
  end
  return v
end

function base.probability(what, v) return base.number(what, "p", v, 0, 1) end

-- p by position or in a table: random_horizontal_flip(0.5), random_horizontal_flip { p = 0.5 }.
function base.only_p(what, v, otherwise)
  if type(v) ~= "table" then v = { p = v } end
  return base.probability(what, options.read(what, v, { p = otherwise }).p)
end

-- n numbers, or one that stands for all.
function base.numbers(what, name, v, n)
  if base.is_number(v) then v = { v } end
  if type(v) ~= "table" or #v ~= n and #v ~= 1 then fail("%s: %s: expected a number or %d of them", what, name, n) end
  local out = {}
  for i = 1, n do
    out[i] = v[i] or v[1]
    if not base.is_number(out[i]) then fail("%s: %s[%d]: expected a number, got %s", what, name, i, tostring(out[i])) end
  end
  return out
end

-- A range { low, high }; one number v stands for { -v, v }.
function base.range(what, name, v, low)
  if base.is_number(v) and v >= 0 then v = { -v, v } end
  if type(v) ~= "table" or #v ~= 2 or not base.is_number(v[1]) or not base.is_number(v[2]) or v[1] > v[2] or low and v[1] < low then
    fail("%s: %s: expected { low, high }%s", what, name, low and (", from %g on"):format(low) or " or one number from 0 on")
  end
  return { v[1], v[2] }
end

-- Height and width: { h, w }, or one number for both.
function base.size(what, v)
  if type(v) == "number" then v = { v, v } end
  if type(v) ~= "table" or #v ~= 2 then fail("%s: size: expected a number or { height, width }, got %s", what, type(v)) end
  return { options.count(what, "size", v[1]), options.count(what, "size", v[2]) }
end

function base.word(what, name, v, words)
  for _, w in ipairs(words) do
    if v == w then return v end
  end
  fail("%s: %s: expected %s, got %s", what, name, table.concat(words, ", "), tostring(v))
end

-- N numbers as a factor of a batch's elements: N x 1 x 1 ...
function base.per_item(v, x)
  local shape = { #x }
  for d = 2, x:dim() do shape[d] = 1 end
  return v:reshape(shape)
end

return base
