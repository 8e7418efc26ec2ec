-- checkpoint: what a run needs to go on, in one safetensors file, written whole or not at all and read whole or not at all.
--
--   checkpoint.save(path, { model = m, optimizer = o, critic = d, epoch = 3, best = 0.91, trace = { ... }, mean = tensor })
--   local at = checkpoint.load(path, { model = m, optimizer = o, critic = d })      -- at.epoch, at.best, ...; raises without such a file
--   local at = checkpoint.resume(path, { ... })      -- the same, but nil (and why) when there is no such file
--   local at = checkpoint.peek(path)                 -- the fields alone: nothing is loaded; nil (and why) when there is no such file
--
-- In the file: the tensors of a part as "part.name", a tensor among the fields as "=field", and in the metadata
--   mascon      version of the program            checkpoint  FORMAT
--   state       JSON: parts (their names), rng (stream, seed and counter of the default generator, and
--               the state of math.random), fields
--
-- A file that is damaged, no checkpoint, of another format, or that does not fit raises, and nothing has changed then: neither a part nor
-- the generator. "No such file" is told apart from "cannot be read".
local ms = require "mascon"
local fields = require "mascon.fields"
local inside = require "mascon.inside"
local json = require "mascon.json"
local names = require "mascon.names"
local options = require "mascon.options"
local states = require "mascon.state"
local text = require "mascon.text"
local checkpoint = {}

-- 1 (mascon 0.1, not written down): one step count for all parameters of an optimizer. 2: a count for each; parts by any name.
local FORMAT = 2
local PART = "^[%a_][%w_]*$" -- names of parts

local function sorted(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = k end
  table.sort(list)
  return list
end

-- Has v a method of that name? (Some things raise for names that they do not have.)
local function has(v, method)
  if type(v) ~= "table" then return false end
  local ok, f = pcall(function() return v[method] end)
  return ok and type(f) == "function"
end

local function check_path(what, path)
  if type(path) ~= "string" then options.raise("checkpoint.%s: expected the name of a file, got %s", what, type(path)) end
  if path:find "\0" then options.raise("checkpoint.%s: expected the name of a file, got a text with a zero byte in it", what) end
end

local function check_into(what, into)
  if into ~= nil and (type(into) ~= "table" or has(into, "load_state_dict")) then
    options.raise("checkpoint.%s: expected a table of what to load into ({ model = model }), got %s", what,
      type(into) == "table" and "a thing with a load_state_dict itself" or type(into))
  end
end

-- Where the generators stand: the default one, and Lua's own (math.random) as `lua`, in hexadecimal, where it can be told.
local function rng()
  local seed, counter = ms.rng_state()
  local own = inside.math_random()
  return { stream = ms.rng_version, seed = seed, counter = counter,
    lua = own and own:gsub(".", function(c) return ("%02x"):format(c:byte()) end) or nil }
end

-- The bytes of `lua`, nil where there are none; raises for anything else.
local function lua_state(hex)
  if hex == nil then return nil end
  if type(hex) ~= "string" or #hex ~= 64 or hex:find "%X" or not hex:find "[^0]" then error("the state of math.random", 0) end
  return (hex:gsub("..", function(h) return string.char(tonumber(h, 16)) end))
end

-- checkpoint.save(path, what): parts are what has a state_dict (modules, optimizers, estimators, things of your own); everything else --
-- numbers (to the last bit; integers stay integers), texts, booleans, tensors, tables of them -- are fields. The states of the default
-- generator and of math.random are saved with them. A loader (loader:state_dict) is a part that keeps its place in the middle of an
-- epoch. The file appears whole, or the one before stays as it is.
function checkpoint.save(path, what, ...)
  options.none("checkpoint.save", ...)
  check_path("save", path)
  if type(what) ~= "table" or has(what, "state_dict") then
    options.raise("checkpoint.save: expected a table of what to save ({ model = model, epoch = 1 }), got %s",
      type(what) == "table" and "a thing with a state_dict itself" or type(what))
  end
  local list, parts, rest = {}, {}, {}
  for k in pairs(what) do
    if type(k) ~= "string" then options.raise("checkpoint.save: entry [%s]: expected names as keys", tostring(k)) end
  end
  for _, part in ipairs(sorted(what)) do
    local thing = what[part]
    if has(thing, "state_dict") then
      if not part:match(PART) then
        options.raise("checkpoint.save: '%s': expected letters, digits and _ in the name of a part", part)
      end
      parts[#parts + 1] = part
      local state = thing:state_dict()
      if type(state) ~= "table" then options.raise("checkpoint.save: %s: its state_dict gave %s, expected a table", part, type(state)) end
      for name, t in pairs(state) do
        if type(name) ~= "string" or not states.is_tensor(t) then
          options.raise("checkpoint.save: %s: %s: its state_dict holds %s, expected tensors by name", part, tostring(name),
            states.is_tensor(t) and "a tensor without a name" or type(t))
        end
        list[#list + 1] = { part .. "." .. name, t }
      end
    else
      rest[part] = thing
    end
  end
  local plain = fields.pack("checkpoint.save", rest, list)
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local state = json.encode { parts = json.array(parts), rng = fields.pack("checkpoint.save", rng(), {}), fields = plain }
  ms.save(path, list, { mascon = ms.version, checkpoint = FORMAT, state = state })
end

-- What a file holds, checked as a file: { parts = name -> state, fields, rng }.
local function read(path)
  local tensors, metadata = ms.load(path)
  local function bad(...) options.raise("%s: %s", path, string.format(...)) end
  local format = metadata.checkpoint
  if not format and metadata.state and metadata.mascon then
    bad("written by mascon %s, before checkpoints had a format: an optimizer's state in it lacks what is needed now. Train anew; or take "
      .. "the model's tensors (those named 'model....') out of ms.load(path) and give them to model:load_state_dict", metadata.mascon)
  end
  if not format then bad "no checkpoint (its metadata has no 'checkpoint'): ms.load reads its tensors" end
  if format ~= tostring(FORMAT) then
    bad("a checkpoint of format %s, written by mascon %s: this version (%s) reads format %d", format, tostring(metadata.mascon),
      ms.version, FORMAT)
  end
  local sound, state = pcall(json.decode, metadata.state or "")
  if not sound or type(state) ~= "table" then bad("its state is damaged: %s", sound and "expected an object" or state) end
  if type(state.parts) ~= "table" or type(state.rng) ~= "table" or type(state.fields) ~= "table" then
    bad "its state is damaged: expected parts, rng and fields"
  end
  local out, left = { parts = {} }, {}
  for _, part in pairs(state.parts) do
    if type(part) ~= "string" or not part:match(PART) or out.parts[part] then
      bad("its state is damaged: part %s", tostring(part))
    end
    out.parts[part] = {}
  end
  for name, t in pairs(tensors) do
    local part, key = name:match "^([%a_][%w_]*)%.(.+)$"
    if part and out.parts[part] then out.parts[part][key] = t else left[name] = t end
  end
  local ok
  ok, out.fields = pcall(fields.unpack, state.fields, left)
  if ok then ok, out.rng = pcall(fields.unpack, state.rng, {}) end
  if not ok then bad("its state is damaged: %s", tostring(out.rng or out.fields)) end
  local extra = next(left)
  if extra then bad("unexpected tensor '%s'", extra) end
  local g = out.rng
  if type(out.fields) ~= "table" or type(g) ~= "table" then bad "its state is damaged: expected tables of fields" end
  if math.type(g.stream) ~= "integer" or math.type(g.seed) ~= "integer" or math.type(g.counter) ~= "integer" then
    bad "its state is damaged: expected the generator's stream, seed and counter"
  end
  local known, own = pcall(lua_state, g.lua)
  if not known then bad("its state is damaged: %s", own) end
  g.lua = own
  return out
end

-- Which parts are wanted and there, by name -> thing; raises where the two do not agree.
local function agree(path, held, into)
  local wanted = {}
  for name, thing in pairs(into) do
    if type(name) ~= "string" then options.raise("checkpoint.load: entry [%s]: expected names of parts as keys", tostring(name)) end
    if thing ~= false then
      if not has(thing, "load_state_dict") then
        options.raise("checkpoint.load: %s: expected a thing with a load_state_dict (or false: leave it out), got %s", name,
          states.is_tensor(thing) and "a tensor" or type(thing))
      end
      if not held[name] then
        local list = sorted(held)
        options.raise("%s: has no part '%s'%s; it holds %s", path, name, text.hint(name, list),
          #list > 0 and table.concat(list, ", ") or "fields only")
      end
      wanted[name] = thing
    end
  end
  for _, name in ipairs(sorted(held)) do
    if into[name] == nil then
      options.raise("%s: holds '%s', which was not asked for; pass it, or %s = false to leave it out", path, name, name)
    end
  end
  return wanted
end

-- Things that are not the library's have no half that checks only: they are loaded first, each after a copy of its state was taken, and
-- put back when a later one fails.
local function load_foreign(path, foreign, held)
  local undo = {}
  for _, name in ipairs(sorted(foreign)) do
    local thing, before = foreign[name], nil
    if has(thing, "state_dict") then
      local ok, state = pcall(thing.state_dict, thing)
      if ok and type(state) == "table" then
        before = {}
        for k, t in pairs(state) do before[k] = states.is_tensor(t) and ms.tensor(t) or t end
      end
    end
    if before then undo[#undo + 1] = { thing, before } end
    local ok, problem = pcall(thing.load_state_dict, thing, held[name])
    if not ok then
      for i = #undo, 1, -1 do pcall(undo[i][1].load_state_dict, undo[i][1], undo[i][2]) end
      if type(problem) ~= "string" then error(problem, 0) end
      options.raise("%s: %s: %s", path, name, (problem:gsub("^[^\n]-:%d+: ", "")))
    end
  end
end

-- checkpoint.load(path, into) -> the fields. into: name -> what takes up the part of that name (with load_state_dict), or false for a part
-- to leave out; all parts of the file must be named. Afterwards the default generator and math.random stand where they stood. Raises, and
-- changes nothing,
-- when the file is not there, cannot be read, is damaged, or does not fit.
function checkpoint.load(path, into, ...)
  options.none("checkpoint.load", ...)
  check_path("load", path)
  check_into("load", into)
  local file = read(path)
  local wanted = agree(path, file.parts, into or {})
  local here, there = rng().stream, file.rng.stream
  if here ~= there then
    options.raise("%s: its random numbers are stream %d, this version of mascon (%s) draws stream %d: a run would not go on as it began; "
      .. "use the version that wrote it, or train anew", path, there, ms.version, here)
  end
  local finish, foreign = {}, {}
  for _, name in ipairs(sorted(wanted)) do
    local prepare = states.prepare_of(wanted[name])
    if prepare then
      local context <close> = options.within(("%s: %s"):format(path, name)) -- luacheck: ignore context
      finish[#finish + 1] = prepare(wanted[name], file.parts[name])
    else
      foreign[name] = wanted[name]
    end
  end
  load_foreign(path, foreign, file.parts)
  for _, put in ipairs(finish) do put() end
  ms.rng_state(file.rng.seed, file.rng.counter)
  if file.rng.lua then inside.math_random(file.rng.lua) end
  return file.fields
end

-- nil, or why there is no such file. Whatever else keeps it from being read is for the reader to say.
local function missing(path)
  local f, problem, code = io.open(path, "rb")
  if f then f:close() end
  return not f and code == 2 and problem or nil -- 2: ENOENT
end

-- checkpoint.resume(path, into) -> as load; nil and a message when there is no such file.
function checkpoint.resume(path, into, ...)
  options.none("checkpoint.resume", ...)
  check_path("resume", path)
  check_into("resume", into)
  local none = missing(path)
  if none then return nil, none end
  return checkpoint.load(path, into)
end

-- checkpoint.peek(path) -> the fields, with nothing loaded into anything; nil and a message when there is no such file.
function checkpoint.peek(path)
  check_path("peek", path)
  local none = missing(path)
  if none then return nil, none end
  return read(path).fields
end

checkpoint.format = FORMAT
names.guard(checkpoint, "ms.checkpoint")
getmetatable(checkpoint).__call = function()
  options.raise("ms.checkpoint saves and loads files; what PyTorch calls checkpoint(f, ...) is ms.recompute(f, ...)")
end
return checkpoint
