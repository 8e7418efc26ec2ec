-- scenes: ms.data.scenes, the 8 outdoor scenes.
local inside = require "mascon.inside"
local folder = require "mascon.folder"
local options = require "mascon.options"
local places = require "mascon.places"
local system = require "mascon.system"
local any, fail = options.any, options.raise
local scenes = {}

local function is_folder(path) return system.kind(path) == "folder" end

-- The folder that has what is wanted, and which of both it is; or what was looked for, as text.
local function find(data, small)
  local tried = {}
  for _, place in ipairs(places.list({ "scenes8", "scenes" }, data)) do
    local one, parts = place.path .. "/all_64x64", place.path .. "/subset_256x256"
    if small and is_folder(one) then return one, "small" end
    if is_folder(parts .. "/train") and is_folder(parts .. "/test") then return parts, "parts" end
    if is_folder(one) then return one, "small" end
    tried[#tried + 1] = ("  %s (%s)"):format(place.path, place.from)
  end
  return nil, table.concat(tried, "\n")
end

-- A share of every class for each of two sets, drawn by the seed.
local function split(ds, share, seed)
  local labels, left, first, second = ds.labels:totable(), {}, {}, {}
  for _, y in ipairs(labels) do left[y] = (left[y] or 0) + 1 end
  for y, n in pairs(left) do left[y] = math.floor(n * share + 0.5) end
  for _, i in ipairs(inside.data.order(#ds, nil, true, seed, 0):totable()) do
    local y = labels[i]
    local part = left[y] > 0 and first or second
    part[#part + 1], left[y] = i, left[y] - 1
  end
  return ds:subset(first), ds:subset(second)
end

function scenes.open(given)
  local o = options.read("data.scenes", given, { size = 64, data = any, split = 0.8, seed = 1, channels = any, limit = any, cache = any,
    device = any, normalize = any, fit = any })
  options.count("data.scenes", "size", o.size)
  if o.data ~= nil and type(o.data) ~= "string" then fail("data.scenes: data: expected the name of a folder, got %s", type(o.data)) end
  if not (o.split > 0 and o.split < 1) then fail("data.scenes: split: expected a fraction between 0 and 1, got %s", tostring(o.split)) end
  local path, kind = find(o.data, o.size <= 64)
  if not path then
    fail("data.scenes: looked for the folder all_64x64, or subset_256x256 with train and test, in\n%s\nThe 8 outdoor scenes are those of "
      .. "Oliva and Torralba (2001), people.csail.mit.edu/torralba/code/spatialenvelope; put the folders there, or name theirs by the "
      .. "option data or by $MASCON_DATA.", kind)
  end
  local how = { size = o.size, channels = o.channels, limit = o.limit, cache = o.cache, device = o.device, normalize = o.normalize,
    fit = o.fit, name = "scenes" }
  if kind == "parts" then return folder.open(path .. "/train", how), folder.open(path .. "/test", how) end
  how.pattern = "^(%a+)_"
  return split(folder.open(path, how), o.split, o.seed)
end

return scenes
