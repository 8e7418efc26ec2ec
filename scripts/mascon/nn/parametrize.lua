-- nn.parametrize: a parameter that is computed from others each time it is looked at (torch.nn.utils.parametrize). m.weight becomes
-- m.parametrizations.weight:value(): what was trained is `original` there (or original0, original1, ...), and [1], [2], ... are modules one
-- behind the other. Names in a state_dict are PyTorch's: parametrizations.weight.original, parametrizations.weight.0._u (from 1 without
-- names = "pytorch").
local ms = require "mascon"
local options = require "mascon.options"
local states = require "mascon.state"
local core = require "mascon.nn.module"
local nn, fields, put, enlist = core.nn, core.fields, core.put, core.enlist

local Group = nn.class "parametrizations" -- by the name of the parameter
local List = nn.class "parametrization"

local function originals(list)
  if list.original then return { list.original } end
  local all = {}
  while list["original" .. #all] do all[#all + 1] = list["original" .. #all] end
  return all
end

function List:value()
  local values = originals(self)
  for i = 1, #self do values = { self[i](table.unpack(values)) } end
  return values[1]
end

-- m.weight = x: the originals take the values from which x is made.
function List:assign(x)
  local guard <close> = ms.no_grad()
  if not states.is_tensor(x) then options.raise("a parametrized parameter: expected a tensor, got %s", states.word(x)) end
  local values = { x }
  for i = #self, 1, -1 do
    if not self[i].right_inverse then options.raise("%s: has no right_inverse: the parameter cannot be set", self[i].__name) end
    values = { self[i]:right_inverse(table.unpack(values)) }
  end
  for i, p in ipairs(originals(self)) do
    if not states.same_shape(p, values[i]) then
      options.raise("a parametrized parameter: expected %s, got %s", states.sizes(p), states.sizes(values[i]))
    end
  end
  for i, p in ipairs(originals(self)) do p:copy_(values[i]) end
end

-- nn.is_parametrized(m [, name]) -> is the parameter (any) of m computed?
function nn.is_parametrized(m, name, ...)
  options.none("nn.is_parametrized", ...)
  local computed = rawget(fields(m), "_computed")
  return computed ~= nil and (name == nil or computed[name] == true)
end

-- Raise unless p makes of these values what stands for t: nothing has been changed then.
local function check_result(name, p, t, values)
  local guard <close> = ms.no_grad()
  local r = p(table.unpack(values))
  if not states.is_tensor(r) or not states.same_shape(r, t) or r.dtype ~= t.dtype then
    options.raise("nn.register_parametrization: %s of '%s' gives %s, expected %s as the parameter is", p.__name, name,
      states.is_tensor(r) and states.sizes(r) or states.word(r), states.sizes(t))
  end
end

-- nn.register_parametrization(m, name, p [, { unsafe = false }]) -> m. From now on m[name] is p(original), p a module;
-- p(original0, original1, ...) if p:right_inverse(value), which gives the originals that make a value, gives several. A parameter may have
-- several parametrizations, one behind the other.
-- p is called once, to see that it gives the parameter's shape and dtype; not with unsafe = true.
function nn.register_parametrization(m, name, p, opts, ...)
  options.none("nn.register_parametrization", ...)
  local unsafe = options.read("nn.register_parametrization", opts, { unsafe = false }).unsafe
  local f = fields(m)
  if not nn.is_module(p) then options.raise("nn.register_parametrization: expected a module, got %s", states.word(p)) end
  if nn.is_parametrized(m, name) then
    local list = f.parametrizations[name]
    if not unsafe then
      local now = list:value()
      check_result(name, p, now, { now })
    end
    list[#list + 1] = p
    return m
  end
  local t = rawget(f, name)
  if f._kind[name] ~= "parameter" or not states.is_float(t) then
    options.raise("nn.register_parametrization: %s has no floating parameter '%s'", m.__name, tostring(name))
  end
  local list, frozen = List(), not t.requires_grad
  local values = { t }
  if p.right_inverse then
    local guard <close> = ms.no_grad()
    values = { p:right_inverse(t) }
  end
  if not unsafe then check_result(name, p, t, values) end
  if #values == 1 then
    if not rawequal(values[1], t) then
      local guard <close> = ms.no_grad()
      t:copy_(values[1])
    end
    list.original = t
  else
    for i, v in ipairs(values) do
      local q = nn.parameter(v:clone())
      if frozen then q:requires_grad_(false) end
      list["original" .. i - 1] = q
    end
  end
  list[1] = p
  enlist(f, name, nil)
  put(f, name, nil)
  if rawget(f, "parametrizations") == nil then m.parametrizations = Group() end
  m.parametrizations[name] = list
  local computed = { [name] = true }
  for k in pairs(rawget(f, "_computed") or {}) do computed[k] = true end
  put(f, "_computed", computed)
  core.set_class(f, core.class_of(f))
  return m
end

-- nn.remove_parametrizations(m, name [, { leave_parametrized = true }]) -> m. m[name] is a parameter again, with the value that it has now;
-- with leave_parametrized = false the original's.
function nn.remove_parametrizations(m, name, opts, ...)
  options.none("nn.remove_parametrizations", ...)
  local o = options.read("nn.remove_parametrizations", opts, { leave_parametrized = true })
  local f = fields(m)
  if not nn.is_parametrized(m, name) then
    options.raise("nn.remove_parametrizations: %s has no parametrized '%s'", m.__name, tostring(name))
  end
  local list = f.parametrizations[name]
  local all = originals(list)
  local p = all[1]
  if #all > 1 then
    if not o.leave_parametrized then
      options.raise("nn.remove_parametrizations: %s is made from %d tensors: leave_parametrized = false is for one", name, #all)
    end
    p = nn.parameter(list:value())
    if not all[1].requires_grad then p:requires_grad_(false) end
  elseif o.leave_parametrized then
    local guard <close> = ms.no_grad()
    p:copy_(list:value())
  end
  local computed
  for k in pairs(f._computed) do
    if k ~= name then
      computed = computed or {}
      computed[k] = true
    end
  end
  put(f, "_computed", computed)
  m.parametrizations[name] = nil
  if not computed then m.parametrizations = nil end
  core.set_class(f, core.class_of(f))
  m[name] = p
  return m
end

-- ---- the two that PyTorch has ready (torch.nn.utils.parametrizations) ------------------------------------------------------------

local function whole(what, name, v, least)
  local n = math.tointeger(v)
  if not n or n < least then options.raise("%s: %s: expected a whole number from %d on, got %s", what, name, least, tostring(v)) end
  return n
end

local function weight_of(what, m, name)
  local t = fields(m) and m[name]
  if not states.is_tensor(t) then options.raise("%s: %s has no parameter '%s'", what, m.__name, name) end
  return t
end

-- A dimension that counts from the end if it is negative.
local function resolved(what, dim, rank)
  local d = math.tointeger(dim)
  if d and d < 0 then d = rank + 1 + d end
  if not d or d < 1 or d > math.max(rank, 1) then
    options.raise("%s: dim: expected a dimension 1..%d, got %s", what, math.max(rank, 1), tostring(dim))
  end
  return d
end

-- Dimension d first, the others as one: rows x columns.
local function as_matrix(w, d)
  if d ~= 1 then w = w:transpose(1, d):contiguous() end
  return w:reshape { w:size(1), -1 }
end

local WeightNorm = nn.class "weight_norm_of"
function WeightNorm:forward(g, v)
  return v * (g / v:norm(2, self.dims, true):reshape(g.shape))
end
function WeightNorm:right_inverse(w)
  local g = w:norm(2, self.dims, true)
  return self.all and g:reshape {} or g, w
end

-- nn.weight_norm(m [, { name = "weight", dim = 1 }]) -> m. m.weight = g v / |v|, the norm over all dimensions but dim (dim = false: over
-- all); original0 is g, original1 is v (Salimans and Kingma 2016).
function nn.weight_norm(m, opts, ...)
  options.none("nn.weight_norm", ...)
  local o = options.read("nn.weight_norm", opts, { name = "weight", dim = options.any })
  local w, p = weight_of("nn.weight_norm", m, o.name), WeightNorm()
  local d = o.dim ~= false and resolved("nn.weight_norm", o.dim or 1, w:dim()) or nil
  p.all, p.dims = d == nil, {}
  for i = 1, w:dim() do
    if i ~= d then p.dims[#p.dims + 1] = i end
  end
  return nn.register_parametrization(m, o.name, p, { unsafe = true })
end

local function unit(x, eps) return x / x:norm():clamp(eps, math.huge) end

local SpectralNorm = nn.class "spectral_norm_of"

-- n rounds of the power method on the matrix: u and v approach the singular vectors of its largest singular value.
function SpectralNorm:iterate(matrix, n)
  local guard <close> = ms.no_grad()
  for _ = 1, n do
    self._u:copy_(unit(ms.matmul(matrix, self._v:unsqueeze(2)):squeeze(2), self.eps))
    self._v:copy_(unit(ms.matmul(self._u:unsqueeze(1), matrix):squeeze(1), self.eps))
  end
end

function SpectralNorm:forward(w)
  if w:dim() == 1 then return unit(w, self.eps) end
  local matrix = as_matrix(w, self.dim)
  if self.training then self:iterate(matrix:detach(), self.n_power_iterations) end
  local u, v = self._u:clone(), self._v:clone() -- the next iteration changes them, and the derivative still needs these
  return w / ms.matmul(u:unsqueeze(1), ms.matmul(matrix, v:unsqueeze(2))):reshape {}
end
function SpectralNorm.right_inverse(_, w) return w end

-- nn.spectral_norm(m [, { name = "weight", n_power_iterations = 1, eps = 1e-12, dim = 1 (2 for conv_transpose) }]) -> m. m.weight is
-- divided by its largest singular value, as the power method knows it: one more round each time the weight is looked at while training.
-- The matrix: dimension dim against all others (Miyato et al. 2018).
function nn.spectral_norm(m, opts, ...)
  options.none("nn.spectral_norm", ...)
  local what = "nn.spectral_norm"
  local o = options.read(what, opts, { name = "weight", n_power_iterations = 1, eps = 1e-12, dim = options.any })
  local w, p = weight_of(what, m, o.name), SpectralNorm()
  p.n_power_iterations, p.eps = whole(what, "n_power_iterations", o.n_power_iterations, 1), o.eps
  p.dim = resolved(what, o.dim or ((m._layer or m).__name:find "^conv_transpose" and 2 or 1), w:dim())
  if w:dim() > 1 then
    local guard <close> = ms.no_grad()
    local matrix = as_matrix(w:detach(), p.dim)
    local like = { dtype = w.dtype, device = w.device }
    p:register_buffer("_u", unit(ms.randn({ matrix:size(1) }, like), p.eps))
    p:register_buffer("_v", unit(ms.randn({ matrix:size(2) }, like), p.eps))
    p:iterate(matrix, 15)
  end
  return nn.register_parametrization(m, o.name, p, { unsafe = true })
end
