-- seeds: random numbers that are nobody else's affair.
local ms = require "mascon"
local inside = require "mascon.inside"
local seeds = {}

-- ms.with_seed(seed, f, ...) -> what f(...) gives: f draws from a generator of its own, begun at `seed`; the default generator afterwards
-- stands where it stood, also after an error. For whatever happens by the clock or only sometimes -- a figure drawn while training goes on,
-- a look at a few samples -- so that it does not change what is learned.
function seeds.with_seed(seed, f, ...)
  local state = table.pack(ms.rng_state())
  inside.seeded(1) -- it belongs to the coroutine, should f yield
  local back <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    inside.seeded(-1)
    ms.rng_state(table.unpack(state, 1, state.n))
  end })
  ms.seed(seed)
  return f(...)
end

return seeds
