-- kit: what the files of layers share. A layer is its operation (runtime/ops.def says shapes and errors) plus its state: one short entry,
--
--   -- nn.scale(factor): x times a factor that is trained     (this comment is what ?nn.scale shows)
--   local Scale = layer("scale", 1, { { "factor", kinds.number } }, function(self)
--     self.weight = nn.parameter(ms.full({ 1 }, self.factor))
--   end)
--   function Scale:forward(x) return x * self.weight end
--
-- What a layer is made with is listed once (arguments.lua): by position, by name, or both; it is checked then, checked again when a field
-- is set by hand (bn.momentum = 0.2), and shown by print.
local ms = require "mascon"
local inside = require "mascon.inside"
local arguments = require "mascon.arguments"
local options = require "mascon.options"
local nn = require "mascon.nn.module".nn
local kit = { nn = nn, kinds = arguments.kinds }

-- A number or a pair of them as two numbers.
function kit.both(v)
  if type(v) == "table" then return v[1], v[2] end
  return v, v
end

-- Is m a layer as the library has it, which takes one tensor? A class made from one may have a forward of its own, for what it likes.
function kit.takes_one(m) return m._layer ~= nil and m.forward == m._layer.forward end

-- Calls of a layer.
local function call(self, x, ...)
  if x == nil then options.raise("%s: expected a tensor, got nothing", self.__name) end
  if select("#", ...) > 0 and kit.takes_one(self) then
    local field = nn.is_module(x) and select("#", ...) == 1 and "; a module in a field is called with a dot: m.layer(x)" or ""
    options.raise("%s: expected one tensor, got %d arguments%s", self.__name, 1 + select("#", ...), field)
  end
  return self:forward(x, ...)
end

-- Instances of the class take one tensor, and say so when they get more. Gives the class.
function kit.takes_one_tensor(class)
  class.__call, class._layer = call, class
  return class
end

-- A class of nn's whose instances take one tensor; its init is its own affair.
function kit.class(name, parent)
  nn[name] = kit.takes_one_tensor(nn.class(name, parent))
  return nn[name]
end

-- A class whose instances are made with the arguments of `takes`, which become fields; then made(self) runs.
function kit.layer(name, positional, takes, made, parent)
  local class = kit.class(name, parent)
  class.takes = arguments.list("nn." .. name, positional, table.unpack(takes))
  function class:init(...)
    for k, v in pairs(class.takes:read(...)) do self[k] = v end
    if made then made(self) end
  end
  function class:extra() return class.takes:describe(self) end
  return class
end

-- A parameter ~ U(+-1/sqrt(fan_in)).
function kit.uniform(shape, fan_in)
  local bound = 1 / math.sqrt(fan_in)
  return nn.parameter(ms.rand(shape, -bound, bound))
end

-- `bias` is an option first (is there one?), then the parameter or nothing.
function kit.bias(self, n, fan_in)
  local wanted = self.bias
  self.bias = nil
  if wanted then self.bias = kit.uniform({ n }, fan_in) end
end

inside.takes_one = kit.takes_one -- for data sets: a layer that maps one takes no labels

return kit
