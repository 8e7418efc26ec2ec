-- dataset: samples held in memory as they were in their file. loader.lua walks over them in batches.
--
--   local ds = ms.data.tensors { images, labels, classes = { "cat", "dog" } }
--   for x, y in ds:loader { batch = 64, shuffle = true } do ... end        -- x f32, y i64 from 1
--   local small = ds:subset(1, 1000)
--   local codes, labels = ds:map(function(x) return encoder(x) end)
--   local train, val = ds:split(0.8, { seed = 1 })
--
-- Images are u8 (0..255; batches hold 0..1) or f32 (batches hold them as they are), N x anything, on the CPU. A subset shares them.
local ms = require "mascon"
local inside = require "mascon.inside"
local loader = require "mascon.loader"
local options = require "mascon.options"
local text = require "mascon.text"
local core = inside.data
local any, fail = options.any, options.raise
local dataset = {}

local Data = { __name = "mascon.data" }

local is_tensor = ms.is_tensor
dataset.is_tensor = is_tensor

local function shape_text(x) return table.concat(x.shape, " x ") .. " " .. x.dtype end

local function positive(v) return type(v) == "number" and v > 0 end

-- ---- values ----------------------------------------------------------------------------------------------------------------------

-- One number for each channel, from a number or a list.
local function per_channel(what, name, v, channels)
  if type(v) == "number" then v = { v } end
  if type(v) ~= "table" then fail("%s: normalize: %s: expected a number or a list of %d, got %s", what, name, channels, type(v)) end
  if #v ~= 1 and #v ~= channels then fail("%s: normalize: %s: expected %d numbers, got %d", what, name, channels, #v) end
  local out = {}
  for c = 1, channels do
    out[c] = v[c] or v[1]
    if type(out[c]) ~= "number" then fail("%s: normalize: %s[%d]: expected a number, got %s", what, name, c, type(out[c])) end
  end
  return out
end

-- Batches are images * scale + shift: two f32 tensors, one value per channel, or nil. normalize = { mean =, std = } works on the values
-- 0..1 of u8 images and on f32 images as they are; channels are the second of four dimensions.
local function scaling(what, images, normalize)
  local unit = images.dtype == "u8" and 1 / 255 or 1
  if not normalize then return unit ~= 1 and ms.tensor { unit } or nil, nil end
  options.read(what .. ": normalize", normalize, { mean = any, std = any })
  local channels = images:dim() == 4 and images:size(2) or 1
  local mean = per_channel(what, "mean", normalize.mean or 0, channels)
  local std = per_channel(what, "std", normalize.std or 1, channels)
  local scale, shift = {}, {}
  for c = 1, channels do
    if not positive(std[c]) then fail("%s: normalize: std: expected more than 0, got %g", what, std[c]) end
    scale[c], shift[c] = unit / std[c], -mean[c] / std[c]
  end
  return ms.tensor(scale), ms.tensor(shift)
end

local function device_of(name) return name and name ~= "" and (ms.device(name)) or "cpu" end

-- ---- making ----------------------------------------------------------------------------------------------------------------------

-- dataset.new { images =, labels =, classes =, device =, normalize =, name =, source = }: images u8 or f32, labels i64 from 1 or nil, both
-- contiguous on the CPU and already checked. images may also be what folder.lua makes, pictures that stay in their files; files: the names.
function dataset.new(fields)
  local self = { _images = fields.images, _labels = fields.labels or false, _rows = false, _n = #fields.images,
    _transform = false, _before = 0,
    classes = fields.classes or false, device = device_of(fields.device), normalize = fields.normalize or false,
    name = fields.name or false, source = fields.source or false, _files = fields.files or false }
  scaling(fields.name or "data", self._images, fields.normalize) -- complains now, not at the first batch
  return setmetatable(self, Data)
end

-- ms.data.tensors { images, labels, classes =, device =, normalize =, name = }: images N x ... u8 or floating; labels whole numbers from
-- 1, or none; classes the names of 1, 2, ... .
function dataset.tensors(t)
  local what = "data.tensors"
  if is_tensor(t) then fail("%s: expected a list, { images, labels }, got a tensor", what) end
  options.read(what, t or {}, { any, any, classes = any, device = "", normalize = any, name = "" })
  local images, labels, classes = t[1], t[2], t.classes
  if not is_tensor(images) then fail("%s: expected a tensor of images first, got %s", what, type(images)) end
  if images:dim() < 1 or #images == 0 then fail("%s: expected images N x ..., got %s", what, shape_text(images)) end
  if images.dtype ~= "u8" and images.dtype ~= "f32" then
    if images.dtype ~= "f64" and images.dtype ~= "f16" and images.dtype ~= "bf16" then
      fail("%s: expected images u8 or f32, got %s", what, shape_text(images))
    end
    images = images:to("f32")
  end
  if classes ~= nil and (type(classes) ~= "table" or #classes == 0) then fail("%s: classes: expected a list of names", what) end
  local most
  if labels ~= nil then
    if not is_tensor(labels) then fail("%s: expected a tensor of labels second, got %s", what, type(labels)) end
    if labels:dim() == 1 and #labels ~= #images then fail("%s: %d images and %d labels", what, #images, #labels) end
    labels, most = core.labels(labels, 0, classes and #classes or 0, "labels")
    if not classes then
      classes = {}
      for c = 1, math.min(most, 100000) do classes[c] = tostring(c) end
    end
  end
  return dataset.new { images = images:detach():to("cpu"):contiguous(), labels = labels, classes = classes, device = t.device,
    normalize = t.normalize, name = t.name }
end

local function is_list(x) return type(x) == "table" and not getmetatable(x) end

-- What subset is given, for a set of n: the first and last of a range, or (third) the positions as a tensor.
local function selection(self, sel, last)
  local n = self._n
  if type(sel) == "number" then
    local a, b = math.tointeger(sel), type(last) == "number" and math.tointeger(last)
    if last == nil then
      fail("subset: expected first, last or a list of positions, got the number %s; ds:subset(1, %s) is a range, ds:subset{%s} one sample",
        tostring(sel), tostring(sel), tostring(sel))
    end
    if not a or not b then fail("subset: expected two whole numbers, got %s, %s", tostring(sel), tostring(last)) end
    if a < 0 then a = a + n + 1 end
    if b < 0 then b = b + n + 1 end
    if a < 1 or b > n or a > b then fail("subset: range %s, %s of 1..%d", tostring(sel), tostring(last), n) end
    return a, b
  end
  if last ~= nil then fail("subset: expected nothing behind a list of positions, got a %s", type(last)) end
  if is_list(sel) then
    if #sel == 0 then fail("subset: the list of positions is empty") end
    sel = ms.tensor(sel, { dtype = "i64" })
  end
  if not is_tensor(sel) then fail("subset: expected first, last, a list of positions or a tensor, got %s", type(sel)) end
  if sel.dtype == "bool" then
    if sel:dim() ~= 1 or #sel ~= n then fail("subset: expected a mask of %d, got %s", n, shape_text(sel)) end
    sel = sel:nonzero():reshape { -1 }
  end
  sel = core.rows(sel, n, "subset")
  if #sel == 0 then fail("subset: no position is chosen") end
  return nil, nil, sel
end

local function part(self, a, b, rows)
  local new = {}
  for key, v in next, self do new[key] = v end
  if a and not self._rows and self._files then -- what belongs to the samples elsewhere is found by their rows
    new._rows, new._n = ms.arange(a, b, 1, { dtype = "i64", device = "cpu" }), b - a + 1
  elseif a and not self._rows then
    new._images = self._images[{ { a, b } }]
    new._labels = self._labels and self._labels[{ { a, b } }]
    new._n, new._before = b - a + 1, self._before + a - 1 -- rows of the memory before the first
  elseif a then
    new._rows, new._n = self._rows[{ { a, b } }], b - a + 1
  elseif rows then
    new._rows = self._rows and ms.index_select(self._rows, 1, rows) or rows
    new._n = #rows
  end
  new._chosen_images, new._chosen_labels = nil, nil
  return setmetatable(new, Data)
end

-- ---- the set ---------------------------------------------------------------------------------------------------------------------

-- ds:subset(first, last): the samples of a range (negative: from the end). ds:subset{3, 9, 11}: those at these positions, in this order; so
-- does a tensor of positions (i64), and a bool tensor chooses where it is true. Shares the samples with ds.
function Data:subset(sel, last, ...)
  options.none("subset", ...)
  return part(self, selection(self, sel, last))
end

-- How many samples each part gets. Fractions as in PyTorch's random_split: each part is rounded down, and what is left over goes to the
-- first ones, one each.
local function part_sizes(n, how)
  local list = type(how) == "table" and how or { how }
  if #list == 0 then fail("split: expected a fraction, a count or a list of them") end
  local fractions = math.type(list[1]) == "float" and list[1] < 1
  local counts, sum, total = {}, 0, 0
  for i, v in ipairs(list) do
    if not positive(v) then fail("split: expected fractions or counts above 0, got %s", tostring(v)) end
    if (math.type(v) == "float" and v < 1) ~= fractions then
      fail("split: expected all fractions or all counts, got %s and %s", tostring(list[1]), tostring(v))
    end
    counts[i] = fractions and math.floor(n * v) or math.tointeger(v) or fail("split: expected whole counts, got %g", v)
    sum, total = sum + (fractions and v or v / n), total + counts[i]
  end
  if type(how) ~= "table" then
    if sum > 1 then fail("split: %s is more than the %d samples", tostring(how), n) end
    if fractions then counts[1] = math.ceil(n * how - 1e-9) end -- the same as of { f, 1 - f }
    counts[2] = n - counts[1]
  elseif fractions then
    if math.abs(sum - 1) > 1e-9 then fail("split: the fractions add up to %g, expected 1", sum) end
    for i = 1, n - total do counts[(i - 1) % #counts + 1] = counts[(i - 1) % #counts + 1] + 1 end
  elseif total ~= n then
    fail("split: the parts have %d samples together, the set has %d", total, n)
  end
  for i, c in ipairs(counts) do
    if c < 1 then fail("split: part %d of %d samples would be empty", i, n) end
  end
  return counts
end

-- ds:split(how [, { seed =, shuffle = true }]) -> set, set, ...: all samples, each in one of the sets. how: a list of fractions that add up
-- to 1 ({ 0.7, 0.2, 0.1 }) or of counts that add up to #ds, as PyTorch's random_split has them; or the fraction (0.8) or count of the first
-- of two. Drawn at random, by the default generator or by seed; shuffle = false takes them in order.
function Data:split(how, given)
  local o = options.read("split", given, { seed = any, shuffle = true })
  if o.seed ~= nil and math.type(o.seed) ~= "integer" then fail("split: seed: expected a whole number, got %s", tostring(o.seed)) end
  local counts = part_sizes(self._n, how)
  local order = core.order(self._n, nil, o.shuffle, o.seed, 0)
  local sets, at = {}, 1
  for i, c in ipairs(counts) do
    sets[i] = part(self, nil, nil, order[{ { at, at + c - 1 } }])
    at = at + c
  end
  return table.unpack(sets)
end

-- ds:transform(t): the same samples, whose batches go through t: one of ms.transforms, or a function t(x, y, keys) -> x, y. It takes the
-- place of the set's transform before; t = false: none. So training and validation parts have their own, also of one split.
function Data:transform(t, ...)
  options.none("transform", ...)
  if t == nil then fail("transform: expected a transform, a function or false, got nil") end
  local new = part(self, nil, nil, nil)
  new._transform = loader.transform("transform", t)
  return new
end

-- x, y of all samples, or of those that subset's arguments (first, last; a list; a tensor) choose, as one batch; options last.
function Data:batch(sel, last, given)
  if type(sel) ~= "number" then last, given = nil, last end
  local o = options.read("batch", given, { normalize = any, device = "" })
  local of = sel ~= nil and self:subset(sel, last) or self
  return of:loader({ batch = of._n, normalize = o.normalize, device = o.device })()
end

-- The images of all samples, or of those that subset's arguments choose, as batches have them: f32, on the set's device.
function Data:images(sel, last)
  if last ~= nil and type(sel) ~= "number" then fail("images: expected first, last or a list of positions, got two arguments") end
  return (self:batch(sel, last))
end

-- The same as one row of numbers for each sample, on the CPU: what classical learning takes.
function Data:pixels(sel, last)
  local of = sel ~= nil and self:subset(sel, last) or self
  local x = of:batch(nil, { device = "cpu" })
  return x:reshape { #x, -1 }
end

-- The i-th sample: image, label, name of its class.
function Data:get(i)
  local at = math.tointeger(i)
  if at and at < 0 then at = at + self._n + 1 end
  if not at or at < 1 or at > self._n then fail("data: position %s is out of range 1..%d", tostring(i), self._n) end
  local x, y = part(self, at, at):batch()
  local label = y and y[1]:item()
  return x[1], label, label and self.classes and self.classes[label] or nil
end

-- The file that the i-th sample comes from; nil where the set is not from files (ms.data.folder).
function Data:file(i)
  local at = math.tointeger(i)
  if not at or at < 1 or at > self._n then fail("data: position %s is out of range 1..%d", tostring(i), self._n) end
  return self._files and self._files[self._rows and self._rows[at]:item() or at] or nil
end

local function chosen(self, which)
  local all = rawget(self, "_" .. which)
  if not all then return nil end
  if not is_tensor(all) then return all:read(self._rows or nil) end
  if not self._rows then return all end
  local key = "_chosen_" .. which
  local made = rawget(self, key)
  if not made then
    made = ms.index_select(all, 1, self._rows)
    rawset(self, key, made)
  end
  return made
end

local ELSEWHERE = { shuffle = "ds:loader{ shuffle = true }", len = "#ds", size = "#ds", length = "#ds", data = "ds.raw",
  targets = "ds.labels", train_test_split = "ds:split(0.8)", random_split = "ds:split(0.8)", batches = "ds:loader{ batch = 64 }",
  target = "ds.labels", x = "ds.raw", y = "ds.labels", shape = "ds.raw.shape", n = "#ds", filter = "ds:subset(mask)" }

-- ds.labels (i64), ds.raw (the images as they are held, in this set's order), ds.classes, ds.device, ds.name, ds.source (folder);
-- ds[i] is the i-th image (f32; nil behind the last one).
function Data:__index(key)
  if type(key) == "number" then
    if key == self._n + 1 then return nil end
    return (self:get(key))
  end
  if Data[key] ~= nil then return Data[key] end
  if key == "raw" then return chosen(self, "images") end
  if key == "labels" then return chosen(self, "labels") end
  if type(key) == "string" and key:sub(1, 1) ~= "_" then
    local instead = ELSEWHERE[key]
    fail("a data set has no field or method '%s'%s", key, instead and "; write " .. instead or text.hint(key, { "raw", "images", "pixels",
      "labels", "classes", "device", "loader", "map", "subset", "split", "transform", "batch", "get", "file", "normalize", "name",
      "source" }))
  end
end

function Data:__len() return self._n end

function Data:__tostring()
  local shape = {}
  for d = 2, self._images:dim() do shape[#shape + 1] = self._images:size(d) end
  return ("%sdata set: %d samples of %s %s%s"):format(self.name and self.name .. " " or "", self._n,
    #shape > 0 and table.concat(shape, " x ") or "1", self._images.dtype,
    self._labels and self.classes and (", %d classes"):format(#self.classes) or "")
end

-- ---- in batches ------------------------------------------------------------------------------------------------------------------

-- ds:loader { batch = 64, shuffle = false, sampler =, drop_last = false, seed =, normalize = { mean =, std = }, device =, transform = }
-- A loop over it is one walk: for x, y in loader do ... end. shuffle draws a new order at the start of each, from the default generator, or
-- (seed =) from the seed and loader.epoch, the number of walks begun.
-- transform changes each batch, in the place of the set's own (false: none): one of ms.transforms, or a function of x, y and keys -- an i64
-- tensor, a number for each item by seed, walk and its place in the set, for ms.transforms to draw by -- that gives x [, y].
-- sampler chooses the positions of each walk instead: a list of them, an i64 tensor, one of ms.data's samplers, or an iterator of your own:
-- a function that gives a position each time and nil at the end, one that makes such a function for each walk, or a table with iter or
-- __call. They may come more than once, without an end, and in any number; each is checked.
function Data:loader(given) return loader.new(self, scaling, given) end

-- ---- through a function --------------------------------------------------------------------------------------------------------------

-- Join what fn(x, y) gives for each batch of the walk: results, then labels (nil where there are none).
local function map(walk, fn)
  local meta = debug.getmetatable(fn) -- a compiled step hides its own
  if type(fn) ~= "function" and not (meta and meta.__call) then
    fail("map: expected a function, got %s", options.told(fn))
  end
  local one = type(fn) == "table" and ms.nn.is_module(fn) and inside.takes_one(fn) -- a layer takes no labels
  local guard <close> = ms.no_grad() -- luacheck: ignore guard
  local parts, labels, width = {}, {}, nil
  for x, y in walk do
    local got
    if one then got = table.pack(fn(x)) else got = table.pack(fn(x, y)) end
    if got.n == 0 then fail("map: the function returned nothing") end
    width = width or got.n
    if got.n ~= width then fail("map: the function returned %d results, then %d", width, got.n) end
    for i = 1, width do
      local t = got[i]
      if not is_tensor(t) or t:dim() == 0 or #t ~= #x then
        fail("map: result %d: expected a tensor with a row for each of the %d samples, got %s", i, #x,
          is_tensor(t) and shape_text(t) or type(t))
      end
      parts[i] = parts[i] or {}
      parts[i][#parts[i] + 1] = t:detach():to("cpu")
    end
    if y ~= nil then labels[#labels + 1] = y:detach():to("cpu") end
  end
  local out = {}
  for i = 1, width do out[i] = ms.cat(parts[i]) end
  out[width + 1] = #labels > 0 and ms.cat(labels) or nil
  return table.unpack(out, 1, width + 1)
end

-- ds:map(fn [, { batch = 1000, device =, normalize = }]) -> codes [, more], labels
-- Runs the set through fn(x, y), in order, a batch at a time. fn gives one tensor or more, a row for each sample; they come back joined, on
-- the CPU, without gradients, then the labels (nil where the set has none). Whether a model is in evaluation mode is the caller's affair.
function Data:map(fn, given)
  local o = options.read("map", given, { batch = 1000, device = "", normalize = any })
  return map(self:loader { batch = o.batch, device = o.device, normalize = o.normalize }:iter(), fn)
end

loader.map = map

-- Methods that were called with a dot say so; what a script sets would be seen by nobody.
for name, f in pairs(Data) do
  if type(f) == "function" and name:sub(1, 2) ~= "__" then
    Data[name] = function(self, ...)
      if debug.getmetatable(self) ~= Data then
        fail("%s: expected a data set, got %s; a method is called with a colon: ds:%s(...)", name, type(self), name)
      end
      return f(self, ...)
    end
  end
end
function Data.__newindex(_, key)
  fail("a data set cannot be changed: %s; data.tensors { images, labels } makes one, ds:transform(f), ds:subset(...) another of it",
    tostring(key))
end

return dataset
