-- transforms: what is done to batches of images before a model sees them, on the device where they are; torchvision's names and
-- definitions.
--
--   local T = ms.transforms
--   local augment = T.compose { T.random_affine(10, { translate = { 0.1, 0.1 } }), T.random_horizontal_flip(), T.normalize(0.5, 0.5) }
--   for x, y in train:loader { transform = augment, shuffle = true, seed = 1 } do ... end
--   local val = val:transform(T.normalize(0.5, 0.5))           -- a set whose loaders transform
--   local x = augment(x)                                       -- a batch N x C x H x W, or one image C x H x W
--
-- Random transforms draw for each item by its key. A loader's keys come from its seed (or the default generator), the walk and the item's
-- place in the data set, so that what an item becomes depends neither on the size of the batch, nor on the order, nor on threads or device.
-- They are tensor operations: they may stand in a compiled step, which takes the keys as an argument, or draws them.
local ms = require "mascon"
local base = require "mascon.transforms.base"
local options = require "mascon.options"
local fail = options.raise
local transforms = {}

local function list_of(what, list)
  if type(list) ~= "table" or base.is_transform(list) then list = { list } end
  options.read(what, {}, {})
  if #list == 0 then fail("%s: expected a list of transforms", what) end
  local out, random = {}, false
  for i, t in ipairs(list) do
    out[i] = base.of(("%s: %d"):format(what, i), t)
    random = random or out[i].random
  end
  for k in pairs(list) do
    if math.type(k) ~= "integer" or k < 1 or k > #list then fail("%s: unknown option '%s'", what, tostring(k)) end
  end
  return out, random
end

-- compose { t, t, ... }: one after another; functions of a batch may stand among them. t:inverse() undoes them in reverse order, where all
-- can be undone.
function transforms.compose(list)
  local out, random = list_of("compose", list)
  return base.new { name = "compose", list = out, random = random, apply = function(self, x, draws)
    for _, t in ipairs(self.list) do x = base.apply(t, x, draws) end
    return x
  end, undo = function(self)
    local back = {}
    for i = #self.list, 1, -1 do back[#back + 1] = self.list[i]:inverse() end
    return transforms.compose(back)
  end }
end

-- random_apply({ t, ... } [, { p = 0.5 }]): the transforms, for each item with probability p; they must keep the shape.
function transforms.random_apply(list, given)
  local out = list_of("random_apply", list)
  local p = base.only_p("random_apply", given, 0.5)
  return base.new { name = "random_apply", list = out, p = p, random = true, apply = function(self, x, draws)
    local hit, y = draws:chance(p), x
    for _, t in ipairs(self.list) do y = base.apply(t, y, draws) end
    if y.shape ~= x.shape then fail("random_apply: the transforms made %s of %s", base.shape_text(y), base.shape_text(x)) end
    return ms.where(base.per_item(hit, x), y, x)
  end }
end

-- lambda(f): f(x, keys) -> x, of a whole batch; keys is nil where none were given.
function transforms.lambda(f) return base.of("lambda", f) end

for _, part in ipairs { "values", "sizes", "geometry", "colour" } do
  for name, make in pairs(require("mascon.transforms." .. part)) do
    if name:sub(1, 1) ~= "_" then transforms[name] = make end
  end
end

return require("mascon.names").guard(transforms, "ms.transforms")
