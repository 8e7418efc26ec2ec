-- seeds: random numbers that are nobody else's affair.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local text = require "mascon.text"
local seeds = {}

-- ms.with_seed(seed, f, ...) -> what f(...) gives: f draws from a generator of its own, begun at `seed`; the default generator afterwards
-- stands where it stood, also after an error. For whatever happens by the clock or only sometimes -- a figure drawn while training goes on,
-- a look at a few samples -- so that it does not change what is learned.
function seeds.with_seed(seed, f, ...)
  local from = type(seed) == "number" and math.tointeger(seed)
  if not from then options.raise("with_seed: expected a whole number, got %s", text.show(seed)) end
  local meta = debug.getmetatable(f)
  if type(f) ~= "function" and not (meta and meta.__call) then options.raise("with_seed: expected a function second, got %s", type(f)) end
  local state = table.pack(ms.rng_state())
  inside.seeded(1) -- it belongs to the coroutine, should f yield
  local back <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    inside.seeded(-1)
    ms.rng_state(table.unpack(state, 1, state.n))
  end })
  ms.rng_state(from, 0) -- not ms.seed, which starts math.random anew as well
  return f(...)
end

return seeds
