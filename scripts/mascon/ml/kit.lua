-- kit: what the estimators share: their classes, the checks of their options and states, their one-line description.
--
-- An estimator is a class (kit.class), made by kit.new with its options. fit sets _model, which the C part (bindings/ml_*.c) or Lua
-- made; an error in fit must leave the old one. Other methods get it from kit.fitted. Each file beside this one returns a table of the
-- functions that it adds to ms.ml.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local term = require "mascon.term"
local text = require "mascon.text"
local kit = {}

-- What scikit-learn calls by other names.
local OTHER = { inverse_transform = "inverse", kneighbors = "neighbours", cluster_centers_ = "centers" }

-- name: as in ms.ml. fields: the names, with spaces between, of what is there after `by` ("fit"), asked for before it an error.
-- scikit-learn's names for what has another one here are errors, too: nil would be passed on.
function kit.class(name, fields, by)
  local c, known = { what = "ml." .. name }, {}
  c.__name = c.what
  for word in (fields or ""):gmatch "[%w_]+" do known[word] = true end
  function c.__index(_, key)
    if known[key] then options.raise("%s: %s: not fitted yet: call %s first", c.what, key, by or "fit") end
    local v = c[key]
    if v == nil and type(key) == "string" then
      local ours = OTHER[key] or key:match "^(%a[%w_]*)_$"
      if ours and (known[ours] or c[ours] or key:find "_$") then
        options.raise("%s: no %s%s", c.what, key, (known[ours] or c[ours]) and ": here it is " .. ours or "")
      end
    end
    return v
  end
  return c
end

function kit.new(c, opts, defaults) return setmetatable({ options = options.read(c.what, opts, defaults) }, c) end

-- The words messages of a method begin with, after a look at its self.
function kit.words(self, c, method)
  local mt = getmetatable(self)
  if type(self) ~= "table" or rawget(self, "options") == nil or mt.what == nil then
    options.raise("%s:%s: call it with a colon on an estimator: model:%s(...)", c.what, method, method)
  end
  if mt ~= c and rawget(mt, method) ~= rawget(c, method) then -- a tree has the methods of a forest
    options.raise("%s:%s: expected self to be %s, got %s", c.what, method, c.what, mt.what)
  end
  return mt.what .. ":" .. method
end

-- The same and the model, which must be there.
function kit.fitted(self, c, method)
  local what = kit.words(self, c, method)
  local model = rawget(self, "_model")
  if not model then options.raise("%s: not fitted yet: call fit first", what) end
  return what, model
end

function kit.one_of(what, name, v, ...)
  for _, word in ipairs { ... } do
    if v == word then return v end
  end
  options.raise("%s: option %s: expected %s, got %s", what, name, table.concat({ ... }, " or "),
    type(v) == "string" and "'" .. v .. "'" or tostring(v))
end

function kit.whole_number(what, name, v, least)
  local n = type(v) == "number" and math.tointeger(v)
  if not n or n < least then
    options.raise("%s: %s: expected a whole number from %d on, got %s", what, name, least,
      type(v) == "string" and "'" .. v .. "'" or tostring(v))
  end
  return n
end

-- A whole number >= least in options o, nil allowed where the default is nil.
function kit.whole(what, o, name, least)
  local v = o[name]
  if v == nil then return end
  o[name] = kit.whole_number(what, "option " .. name, v, least)
end

-- A state that has all of `names`, none but those and `optional`.
function kit.check_state(what, state, names, optional)
  if type(state) ~= "table" then options.raise("%s: expected a table of tensors by name, got %s", what, type(state)) end
  local known = {}
  for _, name in ipairs(names) do
    known[name] = true
    if state[name] == nil then options.raise("%s: '%s' is missing: is this the state of another estimator?", what, name) end
  end
  for _, name in ipairs(optional or {}) do known[name] = true end
  for name in pairs(state) do
    if not known[name] then
      options.raise("%s: unknown entry '%s'%s", what, tostring(name), text.hint(tostring(name), text.keys(known)))
    end
  end
end

local function item(what, state, name)
  local t = state[name]
  if not ms.is_tensor(t) or t:numel() ~= 1 or t.dtype == "bool" then
    options.raise("%s: '%s': expected a tensor of one number, got %s", what, name, kit.what_is(t))
  end
  return t:item()
end

-- The whole number >= least that the tensor `name` of a state holds.
function kit.state_number(what, state, name, least) return kit.whole_number(what, "'" .. name .. "'", item(what, state, name), least) end

-- The number that the tensor `name` of a state holds.
function kit.state_float(what, state, name) return item(what, state, name) + 0.0 end

-- The tensor `name` of a state, all finite, of a rank if one is given.
function kit.finite_tensor(what, state, name, rank)
  local t = state[name]
  if type(t) ~= "userdata" or rank and #t.shape ~= rank then
    options.raise("%s: '%s': expected a tensor%s, got %s", what, name, rank and " of " .. rank .. " dimensions" or "", tostring(t))
  end
  if not t:isfinite():all():item() then options.raise("%s: '%s': expected finite numbers", what, name) end
  return t
end

-- Calls step() until it gives false; what else it gives are the notes of a bar, which shows itself on a terminal once half a second has
-- gone by, unless `shown` is false. total: how many calls there are at most.
function kit.watch(label, total, shown, step)
  local begun, bar, calls = term.time(), nil, 0
  local close <close> = setmetatable({}, { __close = function(_, err) -- luacheck: ignore
    if bar then bar:finish(err) end
  end })
  repeat
    local more, notes = step()
    calls = calls + 1
    if bar then bar() elseif shown ~= false and more and term.time() - begun > 0.5 then
      bar = ms.progress.with { total = total - calls, label = label } (function() return true end)
      bar()
    end
    if bar and notes then bar:set(notes) end
  until not more
end

-- A state to hand out: copies, so that who writes into them does not change the model.
function kit.copies(state)
  local out = {}
  for name, t in pairs(state) do out[name] = t:clone() end
  return ms.keep(out)
end

function kit.number_tensor(v) return ms.tensor(v, { dtype = "i64" }) end

-- The numbers of a tensor with one dimension (or of whatever shape, if `any_shape`), as f64 on the CPU, without a graph: `rows` of them
-- (nil: `least` or more), none NaN or infinite.
function kit.vector(what, name, t, rows, least, any_shape)
  if not ms.is_tensor(t) then options.raise("%s: %s: expected a tensor, got %s", what, name, kit.what_is(t)) end
  if not any_shape and t:dim() ~= 1 then
    options.raise("%s: %s: expected one number per sample in one dimension, got %s", what, name, kit.shape(t))
  end
  local v = t:detach():to { device = "cpu", dtype = "f64" }:reshape { -1 }
  if rows and #v ~= rows then options.raise("%s: %s: expected %d numbers, one per sample, got %d", what, name, rows, #v) end
  if #v < (least or 1) then options.raise("%s: %s: expected %d or more numbers, got %d", what, name, least or 1, #v) end
  local good = v:isfinite()
  if not good:all():item() then
    local at = good:logical_not():nonzero()[1]:item()
    local x = v[at]:item()
    options.raise("%s: %s[%d] = %s, expected a finite number", what, name, at, x ~= x and "nan" or x)
  end
  return v
end

-- A tensor's shape and dtype, or the type of anything else, for messages.
function kit.what_is(v) return ms.is_tensor(v) and kit.shape(v) or v == nil and "nothing" or type(v) end

function kit.shape(t) return ("%s %s"):format(t:dim() == 0 and "scalar" or table.concat(t.shape, " x "), t.dtype) end

local FLOATS = { f32 = true, f64 = true, f16 = true, bf16 = true }
function kit.is_float(t) return FLOATS[t.dtype] == true end

-- Which samples are positive, as a bool tensor on the CPU: a tensor of bools, of 0 and 1, or of labels of which `positive` is the one.
function kit.binary(what, name, t, positive, rows)
  if not ms.is_tensor(t) then options.raise("%s: %s: expected a tensor, got %s", what, name, kit.what_is(t)) end
  if t:dim() ~= 1 then options.raise("%s: %s: expected one label per sample in one dimension, got %s", what, name, kit.shape(t)) end
  if rows and #t ~= rows then options.raise("%s: %s: expected %d labels, one per sample, got %d", what, name, rows, #t) end
  if #t == 0 then options.raise("%s: %s: expected one label or more, got 0", what, name) end
  t = t:detach():to { device = "cpu" }
  if positive ~= nil then
    return t:eq(kit.whole_number(what, "option positive", positive, math.mininteger))
  end
  if t.dtype == "bool" then return t end
  local wrong = t:eq(0):logical_or(t:eq(1)):logical_not()
  if wrong:any():item() then
    local at = wrong:nonzero()[1]:item()
    options.raise("%s: %s[%d] = %s, expected bools, or 0 and 1 (of other labels name the positive one: { positive = %s })", what, name, at,
      t[at]:item(), math.tointeger(t[at]:item()) or 1)
  end
  return t:eq(1)
end

-- Labels 1..classes (nil: from 1 on), one per sample, as i64 on the CPU.
function kit.labels(what, name, t, classes, rows) return inside.ml.labels(what, name, t, classes or 0, rows or -1) end

function kit.describe(self, names, size)
  local parts = {}
  for _, name in ipairs(names) do
    local v = self.options[name]
    if v ~= nil then parts[#parts + 1] = ("%s = %s"):format(name, tostring(v)) end
  end
  return ("%s{%s}: %s"):format(getmetatable(self).what, table.concat(parts, ", "), rawget(self, "_model") and size() or "not fitted")
end

-- Gives a class of classifiers its method score.
function kit.scores(c)
  -- model:score(X, y) -> share of the samples whose class is told right
  function c:score(X, y)
    local what = kit.fitted(self, c, "score")
    return inside.ml.accuracy(what, self:predict(X), y)
  end
end

return kit
