-- data: the states of the stratosphere that wgan_anomaly learns from: pv.npy and height.npy (N x S x S, 0..1), mask.npy (S x S), as
-- make_stratosphere writes them. The files are mapped, not read: only the states of a batch come into memory.
local ms = require "mascon"
local system = require "mascon.system"
local data = {}

local CHECKED = 64 -- states whose values are looked at in one piece when the files are opened; all are, once

local States = {}
States.__index = States
function States:__len() return self.n end

-- The states at those positions (i64, from 1), k x 2 x size x size f32 on the device, 0 outside the mask.
function States:batch(rows)
  local x = ms.stack({ self.pv[rows], self.height[rows] }, 2):to "f32":to(self.device)
  if self.factor > 1 then x = ms.avg_pool2d(x, self.factor) end
  return x * self.mask
end

-- f(batch) -> rows, for all states (or those at `rows`) in their order, 100 at a time at most, without gradients; what it gives, joined.
function States:map(f, rows)
  rows = rows or ms.arange(1, self.n, { dtype = "i64" })
  local out = {}
  local side = self.pv:size(2)
  local each = math.max(1, math.min(100, (1 << 21) // (side * side))) -- some 16 MB of fields as they lie on disk
  for i = 1, #rows, each do
    local scope <close> = ms.scope()
    out[#out + 1] = scope:keep(ms.no_grad(f, self:batch(rows[{ { i, math.min(i + each - 1, #rows) } }])))
  end
  return ms.cat(out)
end

-- Which states are warmings (n truths) and of which kind (by position): the file of truth, or nil. For scoring only.
function States:truth()
  local path = self.source .. "/truth.csv"
  if system.kind(path) ~= "file" then return nil end
  local positions, texts = ms.data.read_csv(path, { header = true, dtype = "f64" })
  local bad, kinds = ms.zeros({ self.n }, { dtype = "bool" }), {}
  for i, kind in ipairs(texts.kind) do
    local at = math.tointeger(positions[i]:item())
    if not at or at < 1 or at > #self.pv then
      error(("%s: line %d: expected a position, 1..%d, got %g"):format(path, i + 1, #self.pv, positions[i]:item()), 0)
    end
    if at <= self.n then bad[at], kinds[at] = true, kind end
  end
  return bad, kinds
end

-- { folder =, size = "data" or a number in text, device =, limit = } -> states: #states, states.size, .mask, .source, states:batch(rows)
function data.open(given)
  local folder = ms.data.locate("pv.npy", { data = given.folder, also = { "runs/stratosphere" },
    hint = "mascon scripts/make_stratosphere.lua makes it, and what belongs to it" }):match "^(.*)/[^/]*$" or "."
  local device = (ms.device(given.device or "auto"))
  local self = setmetatable({ source = folder, device = device }, States)
  for _, name in ipairs { "pv", "height" } do
    local x = ms.load(("%s/%s.npy"):format(folder, name), { mmap = true, device = "cpu" })
    if not ms.is_tensor(x) or x:dim() ~= 3 or x:size(2) ~= x:size(3) or x.dtype:sub(1, 1) ~= "f" then
      error(("%s/%s.npy: expected N x S x S numbers, got %s"):format(folder, name, ms.is_tensor(x) and tostring(x.shape) .. " " .. x.dtype
        or type(x)), 0)
    end
    for first in ms.progress(math.ceil(#x / CHECKED), { label = "checking " .. name }) do
      local scope <close> = ms.scope()
      local from = (first - 1) * CHECKED + 1
      local part = x[{ { from, math.min(from + CHECKED - 1, #x) } }]
      local low, high = part:min():item(), part:max():item() -- NaN is told by neither being in order
      if not (low >= 0 and high <= 1) then
        error(("%s/%s.npy: expected values from 0 to 1, got %g to %g in states %d to %d"):format(folder, name, low, high, from,
          from + #part - 1), 0)
      end
    end
    self[name] = x
  end
  if self.pv.shape ~= self.height.shape then
    error(("%s: pv.npy is %s, height.npy %s"):format(folder, tostring(self.pv.shape), tostring(self.height.shape)), 0)
  end
  local side = self.pv:size(2)
  local mask = ms.load(folder .. "/mask.npy", { device = "cpu" })
  if not ms.is_tensor(mask) or mask:dim() ~= 2 or mask:size(1) ~= side or mask:size(2) ~= side then
    error(("%s/mask.npy: expected %d x %d, as the fields"):format(folder, side, side), 0)
  end
  self.size = given.size == "data" and side or math.tointeger(given.size)
  self.factor = side // self.size
  if self.factor < 1 or self.factor * self.size ~= side then
    error(("--size %d: the fields are %d x %d; expected that, or a part of it"):format(self.size, side, side), 0)
  end
  mask = mask:to("f32"):reshape { 1, 1, side, side }
  if self.factor > 1 then mask = ms.avg_pool2d(mask, self.factor):ge(0.5):float() end
  self.mask = mask:to(device)
  self.n = math.min(#self.pv, given.limit or #self.pv)
  return self
end

return data
