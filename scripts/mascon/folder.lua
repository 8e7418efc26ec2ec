-- folder: data sets from picture files, a class for each folder or told by the file's name.
--
--   local ds = ms.data.folder("photos", { size = 64 })                          -- photos/cats/1.jpg, photos/dogs/1.png, ...
--   local ds = ms.data.folder("all_64x64", { pattern = "^(%a+)_", size = 64 })  -- coast_arnat59.jpg, ...
local ms = require "mascon"
local inside = require "mascon.inside"
local dataset = require "mascon.dataset"
local options = require "mascon.options"
local progress = require "mascon.progress"
local system = require "mascon.system"
local core = inside.data
local any, fail = options.any, options.raise
local folder = {}

local ENDINGS = { jpg = true, jpeg = true, png = true }
local DEEPEST = 16      -- folders in folders: links may lead round
local MOST = 1 << 30    -- bytes of pictures that are kept in memory unless cache says otherwise
local PIECE = 64        -- pictures between two looks at the progress bar

-- ---- files and their classes -------------------------------------------------------------------------------------------------------

local function listed(path)
  local names, why = system.list(path)
  if not names then fail("%s", why) end
  table.sort(names)
  return names
end

-- The picture files in a folder and in those within, sorted, appended to list. Hidden ones and other kinds of files are passed over.
local function pictures_in(path, list, depth)
  if depth > DEEPEST then fail("%s: folders within folders, deeper than %d", path, DEEPEST) end
  for _, name in ipairs(listed(path)) do
    local full = path .. "/" .. name
    if name:sub(1, 1) ~= "." then
      local kind = system.kind(full)
      if kind == "folder" then
        pictures_in(full, list, depth + 1)
      elseif kind == "file" and ENDINGS[(name:match "%.(%w+)$" or ""):lower()] then
        list[#list + 1] = full
      end
    end
  end
  return list
end

-- Class names in order, and for each a number.
local function numbered(seen, given, path)
  local names = given
  if not names then
    names = {}
    for name in pairs(seen) do names[#names + 1] = name end
    table.sort(names)
  end
  local number = {}
  for i, name in ipairs(names) do
    if not seen[name] then fail("%s: classes: there is no picture of '%s' in it", path, tostring(name)) end
    number[name] = i
  end
  return names, number
end

-- Each file with its class, by the first capture of a pattern in its name.
local function by_name(path, pattern)
  local files, seen = {}, {}
  for _, file in ipairs(pictures_in(path, {}, 1)) do
    local name = file:match "[^/]+$"
    local ok, class = pcall(string.match, name, pattern)
    if not ok then fail("data.folder: pattern: %s", class) end
    if type(class) ~= "string" then fail("%s: pattern '%s' does not match the file's name", file, pattern) end
    files[#files + 1], seen[class] = { file, class }, true
  end
  return files, seen
end

-- Each file with its class, the folder of `path` that it lies in.
local function by_folder(path)
  local files, seen = {}, {}
  for _, name in ipairs(listed(path)) do
    local full = path .. "/" .. name
    if name:sub(1, 1) ~= "." and system.kind(full) == "folder" then
      local list = pictures_in(full, {}, 1)
      if #list == 0 then fail("%s: there is no picture (.jpg, .jpeg, .png) in this folder, which should be a class", full) end
      for _, file in ipairs(list) do files[#files + 1] = { file, name } end
      seen[name] = true
    end
  end
  return files, seen
end

-- ---- pictures that stay in their files ---------------------------------------------------------------------------------------------

-- Stands where a set has its tensor of images. A loader asks it for batches; from the second on they are decoded while the script works.
local Files = { __name = "mascon.pictures", dtype = "u8" }
Files.__index = Files

function Files:__len() return #self.paths end
function Files.dim() return 4 end
function Files:size(d) return ({ #self.paths, self.channels, self.height, self.width })[d] end

-- A reader of `count` pictures, in the order of rows from `first` on.
local function reader(self, rows, first, count, room)
  return core.ahead(self.paths, rows, first, count, room, self.channels, self.height, self.width, self.resize, self.crop)
end

local function empty(self, n) return core.picture_room(n, self.channels, self.height, self.width) end

-- The pictures of these rows (i64 tensor; nil: all) as u8.
function Files:read(rows, label)
  local n = rows and #rows or #self.paths
  local images, ahead = empty(self, n), reader(self, rows, 1, n, 4 * PIECE)
  local bar = progress.with { total = (n + PIECE - 1) // PIECE, label = label or "pictures" }
  for at in bar(function(_, at) return at + PIECE <= n and at + PIECE or nil end, nil, 1 - PIECE) do
    core.ahead_next(ahead, images, at, math.min(PIECE, n - at + 1))
  end
  core.ahead_close(ahead)
  return images
end

-- The next `count` of a walk, rows[at] first: u8 images. walk.order: all rows of the walk, if they are known.
function Files:next(walk, rows, at, count)
  local images = empty(self, count)
  if not walk.order then
    local ahead = reader(self, rows, at, count, count)
    core.ahead_next(ahead, images, 1, count)
    core.ahead_close(ahead)
    return images
  end
  walk.ahead = walk.ahead or reader(self, rows, at, #rows - at + 1, 2 * count)
  core.ahead_next(walk.ahead, images, 1, count)
  if at + count > #rows then
    core.ahead_close(walk.ahead)
    walk.ahead = nil
  end
  return images
end

-- ---- opening -----------------------------------------------------------------------------------------------------------------------

local function read_size(v)
  if v == nil then return nil end
  local h, w = v, v
  if type(v) == "table" then h, w = v[1], v[2] end
  return options.count("data.folder", "size", h), options.count("data.folder", "size", w)
end

local DEFAULTS = { size = any, channels = 3, fit = "crop", pattern = any, classes = any, limit = any, cache = any, device = "cpu",
  normalize = any, name = "folder" }

local function read_options(given)
  local o = options.read("data.folder", given, DEFAULTS)
  if o.channels ~= 1 and o.channels ~= 3 then fail("data.folder: channels: expected 1 or 3, got %s", tostring(o.channels)) end
  if o.fit ~= "crop" and o.fit ~= "stretch" then fail('data.folder: fit: expected "crop" or "stretch", got "%s"', o.fit) end
  if o.pattern ~= nil and type(o.pattern) ~= "string" then fail("data.folder: pattern: expected a pattern, got %s", type(o.pattern)) end
  if o.cache ~= nil and type(o.cache) ~= "boolean" then fail("data.folder: cache: expected true or false, got %s", type(o.cache)) end
  if o.classes ~= nil and (type(o.classes) ~= "table" or #o.classes == 0) then fail("data.folder: classes: expected a list of names") end
  if o.limit ~= nil then options.count("data.folder", "limit", o.limit) end
  return o
end

-- data.folder, see data.lua.
function folder.open(path, given)
  if type(path) ~= "string" then fail("data.folder: expected the name of a folder, got %s", type(path)) end
  local o = read_options(given)
  if system.kind(path) ~= "folder" then fail("data.folder: %s is no folder", path) end
  path = path:gsub("(.)/+$", "%1")
  local found, seen
  if o.pattern then found, seen = by_name(path, o.pattern) else found, seen = by_folder(path) end
  if #found == 0 then
    fail("%s: expected %s, got none", path, o.pattern and "pictures (.jpg, .jpeg, .png)"
      or "folders of pictures, one for each class (option pattern: the class is in the file's name)")
  end
  local classes, number = numbered(seen, o.classes, path)
  local files, labels, counts = setmetatable({ paths = {}, channels = o.channels, crop = o.fit == "crop" }, Files), {}, {}
  for _, entry in ipairs(found) do
    local class = number[entry[2]]
    counts[entry[2]] = (counts[entry[2]] or 0) + 1
    if class and counts[entry[2]] <= (o.limit or math.huge) then
      labels[#labels + 1], files.paths[#labels + 1] = class, entry[1]
    end
  end
  files.height, files.width = read_size(o.size)
  files.resize = files.height ~= nil
  if not files.height then files.height, files.width = core.picture_size(files.paths[1], o.channels) end
  local images, bytes = files, #files.paths * files.channels * files.height * files.width
  if o.cache or o.cache == nil and bytes <= MOST then images = files:read(nil, o.name) end
  return dataset.new { images = images, labels = ms.tensor(labels, { dtype = "i64", device = "cpu" }), classes = classes, device = o.device,
    normalize = o.normalize, name = o.name, source = path, files = files.paths }
end

return folder
