-- Modules made of functions and of other modules.
local options = require "mascon.options"
local kit = require "mascon.layers.kit"
local nn = kit.nn

-- nn.lambda(f [, name]): any function as a module
local Lambda = nn.class "lambda"
nn.lambda = Lambda
function Lambda:init(f, name)
  if type(f) ~= "function" then options.raise("nn.lambda: expected a function, got %s", type(f)) end
  if name ~= nil and type(name) ~= "string" then options.raise("nn.lambda: name: expected a text, got %s", type(name)) end
  self.f, self.name = f, name or ""
end
function Lambda:forward(...) return self.f(...) end
function Lambda:extra() return self.name end

-- nn.sequential {a, b, ...}: c(b(a(x))). A list entry may be a plain function.
local Sequential = kit.class "sequential"
function Sequential:init(list, ...)
  if type(list) ~= "table" or nn.is_module(list) or nn.is_class(list) or select("#", ...) > 0 then
    options.raise("nn.sequential: expected one list of modules: nn.sequential { a, b }")
  end
  local n = 0
  for k in pairs(list) do
    if math.type(k) ~= "integer" or k < 1 then
      options.raise("nn.sequential: entry %s: expected a list of modules, by position", tostring(k))
    end
    n = math.max(n, k)
  end
  for i = 1, n do
    local m = list[i]
    if type(m) == "function" then m = Lambda(m) end
    if nn.is_class(m) then options.raise("nn.sequential: entry %d: expected a module, got a class: write nn.%s()", i, m.__name) end
    if not nn.is_module(m) then
      options.raise("nn.sequential: entry %d: expected a module, got %s", i, m == nil and "nil: a hole in the list" or type(m))
    end
    self[i] = m
  end
end
function Sequential:forward(x)
  for i = 1, #self do x = self[i](x) end
  return x
end
