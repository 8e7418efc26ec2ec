-- mat: MATLAB's files.
local options = require "mascon.options"
local core = require("mascon.inside").data
local any, fail = options.any, options.raise
local what = "data.read_mat"

local function check_permute(permute)
  if permute == nil then return end
  if type(permute) ~= "table" then
    fail("%s: permute: expected lists of dimensions by the names of variables, got %s", what, type(permute))
  end
  for name in pairs(permute) do
    if type(name) ~= "string" then fail("%s: permute: expected names of variables as keys, got a %s", what, type(name)) end
  end
end

-- Names as a set; nil for all.
local function wanted(names)
  if names == nil then return end
  if type(names) == "string" then names = { names } end
  if type(names) ~= "table" or #names == 0 then
    fail("%s: names: expected the name of a variable or a list of names, got %s", what, type(names))
  end
  local set = {}
  for i, name in ipairs(names) do
    if type(name) ~= "string" then fail("%s: names: expected names, entry %d is a %s", what, i, type(name)) end
    set[name] = true
  end
  return set, names
end

-- data.read_mat: see data.lua.
return function(path, given)
  local o = options.read(what, given, { names = any, permute = any, limit = any, partial = false, max_bytes = any })
  check_permute(o.permute)
  local set, names = wanted(o.names)
  if o.limit ~= nil then options.count(what, "limit", o.limit) end
  local values, list, notes = core.mat_read(path, set, o.permute, o.limit, o.partial, o.max_bytes)
  for _, name in ipairs(names or {}) do
    if values[name] == nil and not o.partial then
      local _, all = pcall(core.mat_names, path)
      fail("%s: there is no variable '%s'%s", path, name, type(all) == "table" and "; it has " .. table.concat(all, ", ") or "")
    end
  end
  for name in pairs(o.permute or {}) do -- one that is not read would leave a tensor's dimensions as they were, without a word
    if values[name] == nil and not o.partial then
      fail("%s: permute: there is no variable '%s' among those that were read: %s: %s", what, name, path, table.concat(list, ", "))
    end
  end
  return values, list, notes
end
