-- optim/clip: gradients kept small. All of it is operations that work in place, without a look at a number: a compiled step records it.
local ms = require "mascon"
local core = require "mascon.inside"
local options = require "mascon.options"
local states = require "mascon.state"
local clip = {}

-- The tensors of a list, or the one that there is instead.
local function tensors_of(what, v)
  if states.is_tensor(v) then return { v } end
  if type(v) ~= "table" or debug.getmetatable(v) then
    options.raise("%s: expected a list of parameters (model:parameters()), got %s", what, states.word(v))
  end
  for i = 1, #v do
    if not states.is_tensor(v[i]) then options.raise("%s: parameter %d: expected a tensor, got %s", what, i, states.word(v[i])) end
  end
  return v
end

local function gradients_of(what, parameters)
  local list = {}
  for _, p in ipairs(tensors_of(what, parameters)) do list[#list + 1] = p.grad end
  return list
end

-- A limit: a number from 0 on, or a live one, which is another in each replay.
local function limit(what, name, v)
  if core.is_live(v) then return v end
  if type(v) ~= "number" or not (v >= 0) then options.raise("%s: %s: expected a number from 0 on, got %s", what, name, states.word(v)) end
  return v
end

-- The sum over a list of tensors of f(tensor), each one number; of one dtype, f64 if they are of several.
local function total(list, f, join)
  local parts, mixed = {}, false
  for i, t in ipairs(list) do
    parts[i] = f(t)
    mixed = mixed or parts[i].dtype ~= parts[1].dtype
  end
  for i, t in ipairs(mixed and parts or {}) do parts[i] = t:to "f64" end
  return #parts == 1 and parts[1] or join(ms.stack(parts))
end

local function sum(x) return x:sum() end

local function norm_of(what, list, p)
  if type(p) ~= "number" or not (p > 0) then
    options.raise("%s: norm_type: expected a number above 0, math.huge for the largest element, got %s", what, states.word(p))
  end
  if #list == 0 then return ms.zeros {} end
  if p == math.huge then return total(list, function(t) return t:abs():amax() end, function(x) return x:amax() end) end
  if p == 2 then return total(list, function(t) return t:square():sum() end, sum):sqrt() end
  if p == 1 then return total(list, function(t) return t:abs():sum() end, sum) end
  return total(list, function(t) return t:abs():pow(p):sum() end, sum):pow(1 / p)
end

local function check_finite(what, norm, wanted)
  if wanted and not norm:isfinite():item() then
    options.raise("%s: the norm of the gradients is %s, so they cannot be clipped; error_if_nonfinite = false lets it pass", what,
      tostring(norm:item()))
  end
end

local function scale(gradients, max_norm, norm)
  local by = ms.minimum(max_norm / (norm + 1e-6), 1)
  for _, g in ipairs(gradients) do g:mul_(by:to(g.dtype)) end
end

-- optim.get_total_norm(tensors, { norm_type = 2, error_if_nonfinite = false }) -> a tensor of one element: the norm of all elements
-- together
function clip.get_total_norm(tensors, opts, ...)
  local what = "optim.get_total_norm"
  options.none(what, ...)
  local o = options.read(what, opts, { norm_type = 2, error_if_nonfinite = false })
  local norm = norm_of(what, tensors_of(what, tensors), o.norm_type)
  check_finite(what, norm, o.error_if_nonfinite)
  return norm
end

-- optim.clip_grad_norm_(parameters, max_norm, { norm_type = 2, error_if_nonfinite = false }) -> the norm before, a tensor
-- Makes the gradients of a list of parameters (or of one) smaller together, so that the norm of all their elements is max_norm at most;
-- norm_type math.huge: the largest element. Between loss:backward() and o:step(), in compiled steps too (without error_if_nonfinite, which
-- looks at a number).
function clip.clip_grad_norm_(parameters, max_norm, opts, ...)
  local what = "optim.clip_grad_norm_"
  options.none(what, ...)
  local o = options.read(what, opts, { norm_type = 2, error_if_nonfinite = false })
  local most, guard <close> = limit(what, "max_norm", max_norm), ms.no_grad()
  local gradients = gradients_of(what, parameters)
  local norm = norm_of(what, gradients, o.norm_type)
  check_finite(what, norm, o.error_if_nonfinite)
  scale(gradients, most, norm)
  return norm
end

-- optim.clip_grads_with_norm_(parameters, max_norm, total_norm): as optim.clip_grad_norm_, with a norm that is known
function clip.clip_grads_with_norm_(parameters, max_norm, total_norm, ...)
  local what = "optim.clip_grads_with_norm_"
  options.none(what, ...)
  if not states.is_tensor(total_norm) or total_norm:numel() ~= 1 then
    options.raise("%s: total_norm: expected a tensor of one element, got %s", what,
      states.is_tensor(total_norm) and states.sizes(total_norm) or states.word(total_norm))
  end
  local most, guard <close> = limit(what, "max_norm", max_norm), ms.no_grad()
  scale(gradients_of(what, parameters), most, total_norm)
end

-- optim.clip_grad_value_(parameters, clip_value): brings each element of the gradients into -clip_value .. clip_value
function clip.clip_grad_value_(parameters, clip_value, ...)
  local what = "optim.clip_grad_value_"
  options.none(what, ...)
  local most, guard <close> = limit(what, "clip_value", clip_value), ms.no_grad()
  for _, g in ipairs(gradients_of(what, parameters)) do g:clamp_(-most, most) end
end

return clip
