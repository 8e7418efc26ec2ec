-- custom: functions of a script with a derivative of its own (PyTorch's torch.autograd.Function).
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local FLOATING = { f32 = true, f64 = true, f16 = true, bf16 = true }

-- What forward and backward get as their first argument. Fields that a script sets stay; these are its methods and what it may read:
--
-- ctx:save_for_backward(x, y, ...): tensors that backward reads. Arguments, results and others; what is changed in place afterwards is an
-- error in backward, and a result saved so does not keep the graph alive by itself.
-- ctx.saved_tensors: in backward, the list of them.
-- ctx.needs_input_grad: a list, for each argument of forward: is its gradient asked for? (In forward: might it be?)
-- ctx:mark_non_differentiable(y, ...): results that carry no gradient. ctx:set_materialize_grads(false): backward gets nil, not a tensor of
-- zeros, for results that got no gradient.
local Context = {}
Context.__index = Context

function Context:save_for_backward(...)
  self._saved = table.pack(...)
  for i = 1, self._saved.n do
    local x = self._saved[i]
    if x ~= nil and not ms.is_tensor(x) then
      options.raise("%s: save_for_backward: argument %d: expected a tensor, got %s (other values may be fields: ctx.x = ...)",
        self._name, i, type(x))
    end
  end
end

function Context:mark_non_differentiable(...)
  for _, y in ipairs { ... } do self._constant[y] = true end
end

function Context:set_materialize_grads(on) self._zeros = on ~= false end

-- What was saved, ready for the call of backward: results as they are in the graph.
local function saved(ctx, results)
  local list = {}
  for i, s in ipairs(ctx._kept) do
    if s.result then list[i] = results[s.result]
    elseif s.tensor then
      if inside.version(s.tensor) ~= s.version then
        options.raise("%s: saved tensor %d was changed in place after it was saved; backward needs the old values", ctx._name, i)
      end
      list[i] = s.tensor
    end
  end
  return list
end

-- How the results of forward are saved: by their number, so that what is saved holds no result, which would hold what is saved.
local function keep(ctx, results)
  local kept, bits = {}, 0
  for i = 1, ctx._saved and ctx._saved.n or 0 do
    local x, entry = ctx._saved[i], {}
    if x ~= nil then
      entry = { tensor = ms.keep(x), version = inside.version(x) }
      for k, y in ipairs(results) do
        if k <= 32 and rawequal(x, y) then entry, bits = { result = k }, bits | 1 << (k - 1) end
      end
    end
    kept[i] = entry
  end
  ctx._saved, ctx._kept = nil, kept
  return bits
end

-- The call of backward in a pass: gradients g of the differentiable results, those results where they are saved, which inputs need one.
local function derive(ctx, backward, g, results, need)
  ctx.needs_input_grad = {}
  for i = 1, ctx._n do ctx.needs_input_grad[i] = ctx._input[i] ~= nil and need[ctx._input[i]] end
  local clear <close> = setmetatable({}, { __close = function() ctx.saved_tensors = nil end }) -- luacheck: ignore
  ctx.saved_tensors = saved(ctx, results)
  local given = {}
  for k = 1, ctx._n_results do
    local at = ctx._result[k]
    given[k] = at and g[at] or nil
  end
  local dx, list = table.pack(backward(ctx, table.unpack(given, 1, ctx._n_results))), {}
  for i = 1, math.max(ctx._n, dx.n) do
    local d, at = dx[i], ctx._input[i]
    if d ~= nil and not ms.is_tensor(d) then
      options.raise("%s: backward: result %d: expected a tensor (a gradient) or nil, got %s", ctx._name, i, type(d))
    elseif d ~= nil and not at then
      options.raise("%s: backward: result %d is a gradient, but argument %d of forward %s", ctx._name, i, i,
        i > ctx._n and ("was not given (there were %d)"):format(ctx._n) or "is no tensor that takes one")
    end
    if at then list[at] = d or false end
  end
  return list
end

local function apply(def, ...)
  local n = select("#", ...)
  local ctx = setmetatable({ _name = def.name, _n = n, _zeros = true, _constant = {}, _input = {}, _result = {},
    needs_input_grad = {} }, Context)
  local inputs, versions, wanted = {}, {}, false
  for i = 1, n do
    local x = (select(i, ...))
    local is = ms.is_tensor(x) and x.requires_grad
    if ms.is_tensor(x) then versions[#versions + 1] = { x, inside.version(x), i } end
    if ms.is_tensor(x) and FLOATING[x.dtype] then inputs[#inputs + 1], ctx._input[i] = x, #inputs + 1 end
    ctx.needs_input_grad[i] = is and ms.grad_enabled()
    wanted = wanted or ctx.needs_input_grad[i]
  end
  local out = table.pack(ms.no_grad(def.forward, ctx, ...))
  for _, v in ipairs(versions) do
    if inside.version(v[1]) ~= v[2] and wanted then
      options.raise("%s: forward changed argument %d in place: make a new tensor of it instead", def.name, v[3])
    end
  end
  if not wanted then return table.unpack(out, 1, out.n) end
  local made, results = {}, {}
  for k = 1, out.n do
    local y = out[k]
    if ms.is_tensor(y) and not ctx._constant[y] then
      made[#made + 1], ctx._result[k] = y, #made + 1
      results[#results + 1] = y:detach()
    end
  end
  ctx._n_results = out.n
  local bits = keep(ctx, made)
  if #results > 0 then
    inside.record_custom(def.name, inputs, results, bits, ctx._zeros, function(g, r, need) return derive(ctx, def.backward, g, r, need) end)
  end
  for k, at in pairs(ctx._result) do out[k] = results[at] end
  ctx._constant = nil
  return table.unpack(out, 1, out.n)
end

-- ms.custom_function { forward = f, backward = g, name = "custom_function" } -> function
-- A function with a derivative of its own. The result, called with any arguments, gives what forward(ctx, ...) gives, which runs without a
-- graph; backward(ctx, dy, ...) gets a gradient for each result (nil for what is no tensor) and gives one for each argument, nil for none.
-- ctx carries what backward needs: ctx:save_for_backward(x), ctx.saved_tensors, ctx.needs_input_grad, any field. Where backward is made of
-- operations, second derivatives work; in a compiled step both are recorded as what they do.
--
--   local cube = ms.custom_function {
--     forward = function(ctx, x) ctx:save_for_backward(x) return x ^ 3 end,
--     backward = function(ctx, dy) return dy * 3 * ctx.saved_tensors[1] ^ 2 end,
--   }
return function(def)
  local o = options.read("custom_function", def, { forward = options.any, backward = options.any, name = "custom_function" })
  for _, key in ipairs { "forward", "backward" } do
    if type(o[key]) ~= "function" then options.raise("custom_function: %s: expected a function, got %s", key, type(o[key])) end
  end
  return function(...) return apply(o, ...) end
end
