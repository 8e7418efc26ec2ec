-- checkpoint: what a run needs to go on, in one safetensors file, written whole or not at all.
local ms = require "mascon"
local json = require "mascon.json"
local options = require "mascon.options"
local system = require "mascon.system"
local checkpoint = {}

local PARTS = { model = true, optimizer = true }

-- checkpoint.save(path, {model =, optimizer =, ...}): the states of the two, the state of the default generator, and every other
-- field (numbers, strings, tables of them) as JSON in the file's metadata.
function checkpoint.save(path, what)
  local tensors, rest = {}, {}
  for part in pairs(PARTS) do
    for name, t in pairs(what[part] and what[part]:state_dict() or {}) do tensors[part .. "." .. name] = t end
  end
  for k, v in pairs(what) do
    if not PARTS[k] then rest[k] = v end
  end
  local seed, counter = ms.rng_state()
  rest.rng = { ("%d"):format(seed), ("%d"):format(counter) }
  return ms.save(path, tensors, { mascon = ms.version, state = json.encode(rest) })
end

-- The fields and the tensors; nil and a message when there is no such file.
local function read(path)
  if type(path) == "string" and not system.kind(path) then return nil, path .. ": no such file" end
  local tensors, metadata = ms.load(path)
  if not metadata.state then options.raise("%s: not a checkpoint (its metadata has no 'state')", path) end
  local rest, problem = json.decode(metadata.state)
  if not rest then options.raise("%s: %s", path, problem) end
  return rest, tensors
end

-- checkpoint.load(path, {model =, optimizer =}) -> the other fields as a table, after the states are loaded and the generator
-- stands where it stood; nil and a message when there is no such file. A file that is no sound checkpoint raises.
function checkpoint.load(path, into)
  local rest, tensors = read(path)
  if not rest then return nil, tensors end
  local states = { model = {}, optimizer = {} }
  for name, t in pairs(tensors) do
    local part, key = name:match("^(%a+)%.(.+)$")
    if not states[part] then options.raise("%s: unexpected tensor '%s'", path, name) end
    states[part][key] = t
  end
  for part in pairs(PARTS) do
    if into[part] then into[part]:load_state_dict(states[part]) end
  end
  if rest.rng then ms.rng_state(math.tointeger(tonumber(rest.rng[1])), math.tointeger(tonumber(rest.rng[2]))) end
  return rest
end

-- checkpoint.peek(path) -> the other fields only, with nothing loaded into anything; nil and a message as load.
function checkpoint.peek(path)
  local rest, problem = read(path)
  return rest, not rest and problem or nil
end

return checkpoint
