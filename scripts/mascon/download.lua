-- download: a file from the web, whole and right or not at all.
local inside = require "mascon.inside"
local options = require "mascon.options"
local system = require "mascon.system"
local any, fail = options.any, options.raise
local core = inside.data
local download = {}

-- MASCON_OFFLINE=1: nothing is asked of the net. Another word than 0 or 1 is an error.
function download.offline()
  local word = os.getenv "MASCON_OFFLINE" or ""
  if word ~= "" and word ~= "0" and word ~= "1" then fail("MASCON_OFFLINE: expected 0 or 1, got '%s'", word) end
  return word == "1"
end

local function size_of(path)
  local f = io.open(path, "rb")
  if not f then return 0 end
  local n = f:seek "end"
  f:close()
  return n
end

-- nil, or what is wrong with the file at `path`.
local function wrong(path, o)
  local n = size_of(path)
  if o.size and n ~= o.size then return ("it has %d bytes, expected %d"):format(n, o.size) end
  for _, kind in ipairs { "sha256", "md5" } do
    local got = o[kind] and core.digest(path, kind)
    if got and got ~= o[kind] then return ("its %s is %s, expected %s"):format(kind, got, o[kind]) end
  end
end

-- What PATH.part is a part of stands in PATH.part.from: the address, and what the server names the state of the file by, if it does.
local function origin(part)
  local f = io.open(part .. ".from", "rb")
  if not f then return nil end
  local closing <close> = f -- luacheck: ignore closing
  return f:read("l", "l")
end

local function discard(part)
  os.remove(part)
  os.remove(part .. ".from")
end

local MB = 1 << 20

-- From one address to the file `part`: true, or nil and why not.
local function transfer(url, part, o)
  local from, state = origin(part)
  if from ~= url then state = nil end
  -- Of another address, or of nobody knows which, it is gone on with only where a digest tells in the end.
  local d, problem = core.download(url, part, o.size or o.at_most, o.connect_timeout, o.stall_timeout, from ~= url and not o.digest, state)
  if not d then return nil, problem end
  local closing <close> = d -- luacheck: ignore closing
  local more, have, total, now = true, 0, 0, state or ""
  local function note() assert(system.replace(part .. ".from", ("%s\n%s\n"):format(url, now))) end
  note()
  local function step()
    local before = now
    more, have, total, now = d:step()
    if now ~= before then note() end
    return more
  end
  repeat step() until not more or have > 0
  if more then -- a bar that counts megabytes
    local all = o.size or total > 0 and total or nil
    local bar = require "mascon.progress".with { total = all and (all + MB - 1) // MB, label = o.label .. " (MB)" }
    local seen = have // MB
    for _ in bar(function()
      while more and have // MB == seen do step() end
      if not more then return nil end
      seen = seen + 1
      return seen
    end) do end -- luacheck: ignore
  end
  if more == nil then return nil, have end -- the message
  return true
end

-- From one of the addresses in `urls` to `path`: true, or nil and what each of them said, a line for each. What was received of a file
-- stays in PATH.part, and the next time goes on there, if it is the same file.
function download.fetch(urls, path, o)
  o.digest = o.sha256 or o.md5
  local part, said = path .. ".part", {}
  for _, url in ipairs(urls) do
    local ok, problem = true, nil
    local whole = o.size and size_of(part) == o.size and (o.digest or origin(part) == url)
    if not (whole and not wrong(part, o)) then
      if whole then discard(part) end -- all of it, and wrong
      ok, problem = transfer(url, part, o)
    end
    if ok then
      problem = wrong(part, o)
      if problem == nil then
        local renamed, message = os.rename(part, path)
        if not renamed then fail("download: %s", message) end
        discard(part)
        return true
      end
      discard(part)
      problem = ("%s: not the file that was meant: %s"):format(url, problem)
    end
    if size_of(part) == 0 then discard(part) end
    said[#said + 1] = "  " .. problem
  end
  return nil, table.concat(said, "\n")
end

local function digits(o, kind, n)
  local v = o[kind]
  if v == nil then return end
  if type(v) ~= "string" or #v ~= n or v:find "%X" then
    fail("download: %s: expected %d hexadecimal digits, got %s", kind, n, tostring(v))
  end
  o[kind] = v:lower()
end

-- data.download: see data.lua.
function download.download(url, path, given)
  local o = options.read("download", given, { sha256 = any, md5 = any, size = any, connect_timeout = 15.0, stall_timeout = 30.0,
    label = "" })
  local urls = type(url) == "table" and url or { url }
  if #urls == 0 then fail("download: expected an address or a list of them, got none") end
  for _, u in ipairs(urls) do
    if type(u) ~= "string" then fail("download: expected an address (http or https), got a %s", type(u)) end
  end
  if type(path) ~= "string" or path == "" then fail("download: expected the name of a file second, got %s", tostring(path)) end
  digits(o, "sha256", 64)
  digits(o, "md5", 32)
  if o.size ~= nil then options.count("download", "size", o.size) end
  for _, name in ipairs { "connect_timeout", "stall_timeout" } do
    if not (o[name] > 0 and o[name] < 1e6) then fail("download: %s: expected seconds above 0, got %g", name, o[name]) end
  end
  if o.label == "" then o.label = path:match "[^/]*$" end
  if system.kind(path) == "file" and (o.sha256 or o.md5) and not wrong(path, o) then return path end
  if download.offline() then fail("download: %s: MASCON_OFFLINE is set", urls[1]) end
  if system.sandboxed() then fail("download: %s: mascon --sandbox has no network", urls[1]) end
  local ok, said = download.fetch(urls, path, o)
  if not ok then fail("download: %s is not to be had:\n%s", path:match "[^/]*$", said) end
  return path
end

return download
