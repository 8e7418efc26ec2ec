-- loader: walks over a data set in batches, in order, shuffled, or as a sampler says.
--
--   for x, y in ds:loader { batch = 64, shuffle = true } do ... end
--   for x, y in ds:loader { batch = 64, sampler = ms.data.weighted_random_sampler(weights, 1000) } do ... end
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local pulse = require "mascon.pulse"
local states = require "mascon.state"
local core = inside.data
local any, fail = options.any, options.raise
local loader = {}

local Loader = { __name = "mascon.loader" }
Loader.__index = Loader
local ELSEWHERE = { batch_size = "loader.batch", dataset = "loader.data", next = "for x, y in loader do", len = "#loader",
  length = "#loader", size = "#loader", reset = "for x, y in loader do, which begins anew" }
setmetatable(Loader, { __index = function(_, key) -- ipairs would find nothing, and say nothing
  if type(key) == "number" then fail("loader[%s]: batches have no positions; write for x, y in loader do", tostring(key)) end
  if ELSEWHERE[key] then fail("a loader has no '%s'; write %s", key, ELSEWHERE[key]) end
end })
function Loader:__newindex(key, value)
  if key ~= "walk" and key ~= "resumed" then
    fail("a loader has no field '%s' to be set; ds:loader { ... } makes another one", tostring(key))
  end
  rawset(self, key, value)
end
function Loader.__pairs() fail("pairs(loader): write for x, y in loader do") end

-- ---- positions by a sampler --------------------------------------------------------------------------------------------------------

-- The rows of the set's memory at these positions (a list or a tensor) of the set, as an i64 tensor on the CPU; checked.
local function rows_at(data, positions, what)
  if type(positions) == "table" then positions = ms.tensor(positions, { dtype = "i64" }) end
  local rows = core.rows(positions, data._n, what)
  return data._rows and ms.index_select(data._rows, 1, rows) or rows
end

-- What the option was: the rows of a fixed order, or nothing where an iterator is to be asked.
local function fixed_rows(data, sampler)
  if ms.is_tensor(sampler) or type(sampler) == "table" and not getmetatable(sampler) and sampler.iter == nil then
    if #sampler == 0 then fail("loader: sampler: the list of positions is empty") end
    return rows_at(data, sampler, "loader: sampler")
  end
  local meta = debug.getmetatable(sampler)
  if type(sampler) == "function" or type(sampler) == "table" and (sampler.iter ~= nil or meta and meta.__call) then return nil end
  fail("loader: sampler: expected positions (a list, a tensor, a function, a table with iter or __call), got %s", type(sampler))
end

-- One walk's positions as a function. iter gets the loader's seed (or nil) and the number of the walk.
local function ask(sampler, seed, epoch)
  if type(sampler) == "table" and sampler.iter ~= nil then
    local iter = sampler:iter(seed, epoch)
    local meta = debug.getmetatable(iter)
    if type(iter) ~= "function" and not (meta and meta.__call) then
      fail("loader: sampler: iter: expected a function that gives positions, got %s", type(iter))
    end
    return iter
  end
  local before, made = nil, nil
  return function()
    local p
    if made then p = made() else p = sampler(nil, before) end
    if type(p) == "function" and before == nil and not made then -- it makes one for each walk
      made = p
      p = made()
    end
    before = p
    return p
  end
end

-- Up to `count` positions of an iterator, as rows; nil at its end.
local function take(self, walk, count)
  local list = {}
  while #list < count and not walk.ended do
    local p = walk.iter()
    if p == nil then
      walk.ended = true
    else
      local at = math.tointeger(ms.is_tensor(p) and p:item() or p)
      if not at then fail("loader: sampler: expected a position, a whole number, got %s", tostring(p)) end
      if at < 1 or at > self.data._n then
        fail("loader: sampler: position %d of the walk is %d, expected 1..%d", walk.given + #list + 1, at, self.data._n)
      end
      list[#list + 1] = at
      walk.trace = walk.trace * 0x5851F42D4C957F2D + at
    end
  end
  if walk.given + #list == 0 then
    fail("loader: sampler: it gave no position in walk %d; an iterator that is used up? a function that makes one serves every walk",
      walk.epoch)
  end
  if self.drop_last and walk.given == 0 and #list < count then
    fail("loader: drop_last leaves nothing: the sampler gave %d positions in walk %d, batch = %d", #list, walk.epoch, count)
  end
  walk.given = walk.given + #list
  if #list == 0 or self.drop_last and #list < count then return nil end
  return rows_at(self.data, list, "loader: sampler"), #list
end

-- ---- walks -------------------------------------------------------------------------------------------------------------------------

-- What the option transform may be: a transform, a function or whatever can be called, or false; with false as the second result if it
-- needs no keys.
function loader.transform(what, t)
  if not t then return false, false end
  local meta = debug.getmetatable(t)
  if type(t) == "function" then
    local info = debug.getinfo(t, "u")
    return t, info.nparams > 2 or info.isvararg
  end
  if type(t) == "string" or not (meta and meta.__call) then fail("%s: transform: expected a function, got %s", what, type(t)) end
  if type(t) == "table" and require("mascon.transforms.base").is_transform(t) then return t, t.random or false end
  return t, true
end

-- How many positions a sampler says that it gives in a walk, if it does.
local function length(sampler)
  local meta = debug.getmetatable(sampler)
  return type(meta) == "table" and meta.__len and #sampler or nil
end

-- Data:loader. scaling: dataset.lua's, which reads normalize.
function loader.new(data, scaling, given)
  local o = options.read("loader", given, { batch = 64, shuffle = false, sampler = any, drop_last = false, seed = any, normalize = any,
    device = "", transform = any })
  local seed, normalize = o.seed, o.normalize
  if normalize == nil then normalize = data.normalize end
  if o.transform == nil then o.transform = rawget(data, "_transform") end
  local transform, keyed = loader.transform("loader", o.transform)
  if seed ~= nil and math.type(seed) ~= "integer" then fail("loader: seed: expected a whole number, got %s", tostring(seed)) end
  if o.sampler ~= nil and o.shuffle then fail("loader: sampler and shuffle exclude one another: the sampler gives the order") end
  local self = { data = data, batch = options.count("loader", "batch", o.batch), shuffle = o.shuffle, sampler = o.sampler or false,
    drop_last = o.drop_last, seed = seed, epoch = 0, transform = transform, keyed = keyed,
    device = o.device ~= "" and (ms.device(o.device)) or data.device }
  self.scale, self.shift = scaling("loader", data._images, normalize or nil)
  self.rows = self.sampler and fixed_rows(data, self.sampler) or false
  local n = self.rows and #self.rows or not self.sampler and data._n or length(self.sampler)
  if self.drop_last and n and n < self.batch then
    fail("loader: drop_last leaves nothing: %d samples, batch = %d", n, self.batch)
  end
  return setmetatable(self, Loader)
end

-- Positions in one walk. A sampler with a length says how many there are.
local function positions(self)
  if self.sampler and not self.rows then return length(self.sampler) or fail("#loader: its sampler has no length") end
  return self.rows and #self.rows or self.data._n
end

-- Batches in one walk.
function Loader:__len()
  local n = positions(self)
  return self.drop_last and n // self.batch or (n + self.batch - 1) // self.batch
end

-- Walk `epoch`: order (rows, all of them) and the place in it, or iter (a sampler's positions, asked for batch by batch; trace: a number
-- made of all that it gave). rng: where the default generator stood when it began, which may have drawn the order.
local function walk_of(self, epoch)
  local walk = { epoch = epoch, at = 1, given = 0, trace = 0, rng = { ms.rng_state() } }
  if self.rows then walk.order = self.rows
  elseif self.sampler then walk.iter = ask(self.sampler, self.seed, epoch)
  else walk.order = core.order(self.data._n, self.data._rows or nil, self.shuffle, self.seed, epoch) end
  if self.keyed then -- what the keys of this walk come from
    walk.seed, walk.number = self.seed or core.draw(), self.seed and epoch or 0
  end
  return walk
end

-- The next walk: a new one, or the rest of one that load_state_dict took up.
local function begin(self)
  local walk = self.resumed
  self.resumed = nil
  if not walk then
    self.epoch = self.epoch + 1
    walk = walk_of(self, self.epoch)
  end
  return walk
end

-- The rows of the next batch: a tensor, where they begin in it, how many; nil at the end.
local function next_rows(self, walk)
  if walk.iter then
    local rows, count = take(self, walk, self.batch)
    return rows, 1, count
  end
  local at, count = walk.at, math.min(self.batch, #walk.order - walk.at + 1)
  if count < 1 or self.drop_last and count < self.batch then return nil end
  walk.at = at + count
  return walk.order, at, count
end

-- Images and labels of the rows from `at` on, as the set holds them scaled. Pictures that stay in their files come as they are decoded.
local function gather(self, walk, rows, at, count)
  local data = self.data
  if ms.is_tensor(data._images) then
    return core.batch(data._images, data._labels or nil, rows, at, count, self.scale, self.shift, self.device)
  end
  local images = data._images:next(walk, rows, at, count)
  local labels = data._labels and ms.index_select(data._labels, 1, rows[{ { at, at + count - 1 } }]) or nil
  return core.batch(images, labels, core.order(count, nil, false), 1, count, self.scale, self.shift, self.device)
end

local function next_batch(self, walk)
  local rows, at, count = next_rows(self, walk)
  if not rows then
    walk.over = true
    return nil
  end
  local x, y = gather(self, walk, rows, at, count)
  local t = self.transform
  if not t then return x, y end
  local keys = self.keyed and core.keys(rows, at, count, self.data._before, walk.seed, walk.number, self.device) or nil
  if type(t) == "table" and require("mascon.transforms.base").is_transform(t) then return t(x, keys), y end
  local tx, ty = t(x, y, keys)
  if tx == nil then fail("loader: transform returned nothing") end
  return tx, ty == nil and y or ty
end

-- loader:examples() -> for each size of a batch that a walk has (all but the last one, and that) a list of what the loop gives, of the
-- set's first samples; ms.rehearse(step, parts, loader) asks for them. It is no walk.
function Loader:examples(...)
  options.none("loader:examples", ...)
  local n, list = positions(self), {}
  for _, size in ipairs { n >= self.batch and self.batch or 0, not self.drop_last and n % self.batch or 0 } do
    if size > 0 then
      local at = {}
      for i = 1, size do at[i] = (i - 1) % self.data._n + 1 end
      local walk = { order = rows_at(self.data, at, "loader"), at = 1, seed = self.seed or 0, number = 0 }
      list[#list + 1] = table.pack(next_batch(self, walk))
    end
  end
  return list
end

-- A walk of its own, for two loops over one loader at the same time.
function Loader:iter()
  local walk = begin(self)
  return function()
    if walk.over then return nil end
    if walk.given > 0 or walk.at > 1 then pulse.batch() end
    return next_batch(self, walk)
  end
end

-- An iterator without an end: walk after walk.
function Loader:cycle()
  local walk = begin(self)
  return function()
    if walk.given > 0 or walk.at > 1 then pulse.batch() end
    local x, y = next_batch(self, walk)
    if x ~= nil then return x, y end
    walk = begin(self)
    return next_batch(self, walk)
  end
end

-- The generic for calls with the value before: nil is the start of a loop, which begins a walk, wherever the last one was left.
function Loader:__call(_, before)
  if before == nil then
    self.walk = begin(self)
  elseif not self.walk or before ~= self.walk.last then
    fail("loader: two loops over one loader at the same time; use loader:iter() for one of them")
  end
  local walk = self.walk
  if before ~= nil then pulse.batch() end
  local x, y = next_batch(self, walk)
  walk.last = x
  if x == nil then self.walk = nil end
  return x, y
end

-- ---- position ----------------------------------------------------------------------------------------------------------------------

local NUMBERS = { "epoch", "samples", "given", "walking" }

-- loader:state_dict() -> where it stands, as tensors by name, in the middle of a walk too: its number, how many samples it gave, and where
-- the default generator stood when it began. After load_state_dict the next loop over the loader gives the rest of that walk, the same
-- batches in the same order; put the default generator where it stood, too, when a transform draws (ms.checkpoint does). A sampler of your
-- own is asked anew and passed over as far as it was: that it gives the same positions is checked. Walks of loader:iter() are their own
-- affair.
function Loader:state_dict(...)
  options.none("loader:state_dict", ...)
  local walk = self.walk or self.resumed
  local function number(v) return ms.keep(ms.tensor({ v }, { dtype = "i64" })) end
  local out = { epoch = number(self.epoch), samples = number(self.data._n), walking = number(walk and 1 or 0),
    given = number(walk and (walk.iter and walk.given or walk.at - 1) or 0), batch = number(self.batch) }
  local rng = walk and walk.rng or { 0, 0 }
  out.generator = ms.keep(ms.tensor({ rng[1], rng[2], walk and walk.trace or 0 }, { dtype = "i64" }))
  return out
end

-- The walk that a state tells of, as far as it had come.
local function resume(self, n, generator)
  local here = table.pack(ms.rng_state())
  local back <close> = setmetatable({}, { __close = function() ms.rng_state(here[1], here[2]) end }) -- luacheck: ignore back
  ms.rng_state(generator[1], generator[2])
  local walk = walk_of(self, n.epoch)
  walk.rng = { generator[1], generator[2] }
  if walk.order then
    if n.given > #walk.order then
      fail("loader: load_state_dict: given: the walk has %d samples, in the state %d of it were given", #walk.order, n.given)
    end
    walk.at = n.given + 1
    return walk
  end
  local ok, problem = true, nil
  if n.given > 0 then ok, problem = pcall(take, self, walk, n.given) end
  if not ok or walk.trace ~= generator[3] or walk.given ~= n.given then
    fail("loader: load_state_dict: its sampler gave other positions than when the state was saved, so the walk cannot go on where it was: "
      .. "expected one that depends on its arguments (seed, walk) and the default generator only%s",
      problem and (" (%s)"):format(tostring(problem):gsub("^[^\n]-:%d+: ", "")) or "")
  end
  walk.ended = false
  return walk
end

-- loader:load_state_dict(state): the next loop goes on there. Nothing has changed when it raises. Gives the loader.
Loader.load_state_dict = states.loader(function(self, state, ...)
  options.none("loader:load_state_dict", ...)
  states.check_dict("loader", state)
  local numbers, generator = {}, state.generator
  for name, t in pairs(state) do
    if name ~= "generator" then numbers[name] = t end
  end
  local n = states.numbers("loader", numbers, NUMBERS, { "batch" })
  if not generator or generator:numel() ~= 3 or generator.dtype ~= "i64" then
    fail("loader: load_state_dict: generator: expected 3 numbers i64, got %s", generator and states.sizes(generator) or "nothing")
  end
  for _, name in ipairs(NUMBERS) do
    n[name] = math.tointeger(n[name])
    if not n[name] or n[name] < 0 then fail("loader: load_state_dict: %s: expected a whole number from 0 on", name) end
  end
  if n.samples ~= self.data._n then
    fail("loader: load_state_dict: the state is of a set of %d samples, this one has %d", n.samples, self.data._n)
  end
  if n.walking == 1 and n.given > 0 and n.batch and n.batch ~= self.batch then
    fail("loader: load_state_dict: the state is of the middle of a walk in batches of %d, this loader gives batches of %d: the rest would "
      .. "be other batches; expected batch = %d", n.batch, self.batch, n.batch)
  end
  local walk = n.walking == 1 and resume(self, n, generator:flatten():totable()) or nil
  return function() self.epoch, self.walk, self.resumed = n.epoch, nil, walk end
end)

-- loader:map(fn): ds:map as the loader walks, shuffled and transformed; the labels come in that order too.
function Loader:map(fn) return loader.map(self:iter(), fn) end

function Loader:__tostring()
  local ok, batches = pcall(function() return #self end)
  return ("loader: %s of %d%s"):format(ok and batches .. " batches" or "batches", self.batch,
    self.shuffle and ", shuffled" or self.sampler and ", by a sampler" or "")
end

return loader
