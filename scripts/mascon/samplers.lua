-- samplers: in which order, and how often, a loader takes the samples of a set; PyTorch's.
--
--   ds:loader { sampler = ms.data.weighted_random_sampler(weights, 10000) }
--
-- A sampler is anything that gives positions (Data:loader says which); these have a length and iter(seed, walk): one walk's positions as an
-- iterator. They draw by their own seed and the number of the walk; without one by the loader's seed and loader.epoch; without that by the
-- default generator.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local any, fail = options.any, options.raise
local samplers = {}

local Sampler = { __name = "mascon.sampler" }
Sampler.__index = Sampler

function Sampler:__len() return self.count end
function Sampler:__tostring() return ("%s: %d positions"):format(self.name, self.count) end

function Sampler:iter(seed, walk)
  self.walks = self.walks + 1
  if self.seed ~= nil then seed = self.seed end
  local order, i = self.draw(seed, walk or self.walks), 0
  return function()
    i = i + 1
    if i <= #order then return order[i] end
  end
end

local function sampler(name, count, seed, draw)
  if seed ~= nil and math.type(seed) ~= "integer" then fail("%s: seed: expected a whole number, got %s", name, tostring(seed)) end
  return setmetatable({ name = name, count = count, seed = seed, draw = draw, walks = 0 }, Sampler)
end

-- draw() -> tensor, by a generator of its own if there is a seed, as a list.
local function drawn(seed, walk, draw)
  if seed == nil then return draw():totable() end
  return ms.with_seed(seed, function()
    ms.rng_state(seed, walk << 40) -- as a loader's own order
    return draw():totable()
  end)
end

local function size_of(name, of)
  if type(of) == "number" then return options.count(name, "n", of) end
  if type(of) ~= "table" or not (getmetatable(of) or {}).__len then fail("%s: expected a data set or a count, got %s", name, type(of)) end
  return #of
end

-- ms.data.sequential_sampler(ds or n): the positions 1..n in order.
function samplers.sequential_sampler(of, ...)
  options.none("sequential_sampler", ...)
  local n = size_of("sequential_sampler", of)
  return sampler("sequential_sampler", n, nil, function() return ms.arange(1, n, { dtype = "i64" }):totable() end)
end

-- ms.data.random_sampler(ds or n [, { replacement = false, num_samples = n, seed = }]): positions in random order; with replacement each
-- is drawn from all of them. Without it num_samples may be fewer or more than n: whole orders follow one another.
function samplers.random_sampler(of, given)
  local n = size_of("random_sampler", of)
  local o = options.read("random_sampler", given, { replacement = false, num_samples = n, seed = any })
  local count = options.count("random_sampler", "num_samples", o.num_samples)
  return sampler("random_sampler", count, o.seed, function(seed, walk)
    return drawn(seed, walk, function()
      if o.replacement then return ms.randint(1, n, { count }) end
      local parts = {}
      for at = 0, count - 1, n do parts[#parts + 1] = ms.randperm(n)[{ { 1, math.min(n, count - at) } }] end
      return ms.cat(parts)
    end)
  end)
end

-- ms.data.subset_random_sampler(positions [, { seed = }]): these positions (a list, or an i64 tensor), in random order.
function samplers.subset_random_sampler(positions, given)
  local name = "subset_random_sampler"
  local o = options.read(name, given, { seed = any })
  if type(positions) == "table" and not getmetatable(positions) then
    if #positions == 0 then fail("%s: the list of positions is empty", name) end
    positions = ms.tensor(positions, { dtype = "i64" })
  end
  if not ms.is_tensor(positions) then fail("%s: expected a list or a tensor of positions, got %s", name, type(positions)) end
  local rows = inside.data.rows(positions, math.maxinteger, name)
  if #rows == 0 then fail("%s: no position is given", name) end
  return sampler(name, #rows, o.seed, function(seed, walk)
    return drawn(seed, walk, function() return ms.index_select(rows, 1, ms.randperm(#rows)) end)
  end)
end

-- ms.data.weighted_random_sampler(weights, num_samples [, { replacement = true, seed = }]): positions drawn by weights (a list or a tensor,
-- one for each sample, 0 or more, not all 0), which need not add up to 1. Without replacement none comes twice in a walk.
function samplers.weighted_random_sampler(weights, num_samples, given)
  local name = "weighted_random_sampler"
  local o = options.read(name, given, { replacement = true, seed = any })
  local count = options.count(name, "num_samples", num_samples)
  if type(weights) == "table" and not getmetatable(weights) and #weights > 0 then weights = ms.tensor(weights, { dtype = "f64" }) end
  if not ms.is_tensor(weights) or weights:dim() ~= 1 then
    fail("%s: expected a list or a tensor of weights in one dimension, got %s", name, ms.is_tensor(weights) and
      table.concat(weights.shape, " x ") or type(weights))
  end
  weights = weights:detach():to("cpu"):to("f64"):clone()
  local above = weights:gt(0):sum():item()
  if not (weights:amin():item() >= 0 and weights:amax():item() < math.huge and above > 0) then -- NaN, too
    fail("%s: expected weights from 0 on, some of them above 0", name)
  end
  if not o.replacement and above < count then
    fail("%s: %d positions without replacement, but only %d weights are above 0", name, count, above)
  end
  return sampler(name, count, o.seed, function(seed, walk)
    return drawn(seed, walk, function() return weights:multinomial(count, o.replacement) end)
  end)
end

return samplers
