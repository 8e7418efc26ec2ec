-- places: where the files of a data set are looked for, and the options that all sets take.
local options = require "mascon.options"
local system = require "mascon.system"
local text = require "mascon.text"
local any, fail = options.any, options.raise
local places = {}

-- Where what was downloaded is kept; nil where no folder is the user's.
function places.cache_folder()
  local base = os.getenv "XDG_CACHE_HOME"
  if base and base ~= "" then return base .. "/mascon" end
  local home = os.getenv "HOME"
  return home and home ~= "" and home .. "/.cache/mascon" or nil
end

-- Folders to look in for a set that may lie in a folder of one of `names`, in order, each with the words that say where it comes from.
-- option: what the caller named, or nil; only: nothing else.
function places.list(names, option, only)
  local list = {}
  local function add(root, from, itself)
    if not root or root == "" then return end
    root = root:gsub("(.)/+$", "%1")
    for _, name in ipairs(names) do list[#list + 1] = { path = root .. "/" .. name, from = from } end
    if itself then list[#list + 1] = { path = root, from = from } end
  end
  add(option, "option data", true)
  if only then return list end
  add(os.getenv "MASCON_DATA", "$MASCON_DATA", true)
  add("../shared/data", "beside the working folder")
  add(places.cache_folder(), "the cache folder")
  add("/usr/share/datasets", "the system's data sets")
  return list
end

-- data.locate: see data.lua.
function places.locate(name, given)
  local o = options.read("data.locate", given, { data = any, also = any, hint = "" })
  if type(name) ~= "string" or name == "" then fail("data.locate: expected the name of a file first, got %s", tostring(name)) end
  if o.data ~= nil and type(o.data) ~= "string" then fail("data.locate: data: expected a folder or a file, got %s", type(o.data)) end
  if system.kind(o.data or "") == "file" then return o.data end
  local list, tried = places.list({ "." }, o.data), {}
  for _, folder in ipairs(o.also or {}) do list[#list + 1] = { path = folder } end
  for _, folder in ipairs(list) do
    local path = folder.path:gsub("/%.$", "") .. "/" .. name
    if system.kind(path) == "file" then
      if o.data then places.told("data.locate", o.data, path) end
      return path
    end
    if not tried[path] then tried[#tried + 1], tried[path] = "  " .. path, true end
  end
  fail("data.locate: there is no %s; looked for\n%s%s", name, table.concat(tried, "\n"), o.hint ~= "" and "\n" .. o.hint or "")
end

-- The options that all sets take, and those in `more` (with their defaults): data (or dir) a folder, device, limit (one for each part),
-- normalize, max_bytes, download.
function places.options(what, given, more)
  local defaults = { data = any, dir = any, device = "cpu", limit = any, normalize = any, max_bytes = any,
    download = true }
  for key, v in pairs(more or {}) do defaults[key] = v end
  local o = options.read(what, given, defaults)
  if o.data and o.dir then fail("%s: data and dir are the same option: expected one of them", what) end
  o.data = o.data or o.dir or nil -- `data = false` and `data = ""` name nothing
  if o.data ~= nil and type(o.data) ~= "string" then fail("%s: data: expected the name of a folder, got %s", what, type(o.data)) end
  if o.data and system.kind(o.data) ~= "folder" then
    fail("%s: data: there is no folder %s (without this option the usual places are looked through)", what, text.show(o.data))
  end
  o.limit = type(o.limit) == "table" and o.limit or { o.limit, o.limit, o.limit }
  for i = 1, 3 do
    if o.limit[i] ~= nil then options.count(what, "limit", o.limit[i]) end
  end
  return o
end

-- A set that was asked for in one folder and found in another is no silent matter.
function places.told(what, option, folder)
  if option and folder:sub(1, #option) ~= option then
    io.stderr:write(("%s: %s does not have it (option data); taken from %s\n"):format(what, text.visible(option), text.visible(folder)))
  end
end

return places
