-- generate: the k-th random program of a seed. The same seed gives the same programs, as long as the library gives the same values: what
-- it refuses, and what grows beyond bounds, is not taken in.
local program = require "programs.program"
local Draw = require "programs.draw"
local base = require "programs.base"
local training = require "programs.training"
local generate = {}

local all = {}
for _, from in ipairs { require "programs.spices", require "programs.sharing", require "programs.families", require "programs.gradients",
  training } do
  for name, s in pairs(from) do
    if type(s) == "table" then all[#all + 1] = { name = name, spice = s } end
  end
end
table.sort(all, function(a, b) return a.name < b.name end)

generate.spices = {}
for i, s in ipairs(all) do generate.spices[i] = s.name end

local function needs_model(s) return s.spice.setup and (training[s.name] ~= nil) end

-- The program: { statements =, calls =, dtype =, spices = names }. only: a list of the names of its spices, instead of drawn ones;
-- without: a set of names of spices that are not drawn.
function generate.program(seed, k, only, without)
  local d = Draw.new(seed, k)
  d.dtype = d:chance(0.5) and "f64" or "f32"
  d.m, d.n = d:pick { 1, 2, 3, 4, 6 }, d:pick { 2, 3, 4, 6, 8 }
  if d:chance(0.04) then d.m, d.n = d:pick { 17, 33, 40 }, d:pick { 16, 31, 65 } end -- several tiles and strips
  local chosen, names, trained = {}, {}, false
  if only then
    for _, s in ipairs(all) do
      for _, name in ipairs(only) do
        if s.name == name then chosen[#chosen + 1] = s end
      end
    end
  else
    for _ = 1, d:int(0, 3) do
      local s = d:pick(all)
      local seen = without and without[s.name]
      for _, c in ipairs(chosen) do seen = seen or c == s end
      if not seen and not (trained and needs_model(s)) then
        chosen[#chosen + 1] = s
        trained = trained or needs_model(s)
      end
    end
  end
  for i, s in ipairs(chosen) do names[i] = s.name end

  for i = 1, d:int(1, 2) do
    d:argument(("num(%d + call, %s, %q)"):format(100 * i, Draw.list(i == 1 and { d.m, d.n } or d:shape()), d.dtype))
  end
  for _ = 1, d:int(0, 2) do d:captured(d:shape()) end
  local kinds = {}
  for _, s in ipairs(chosen) do
    if s.spice.setup then s.spice.setup(d) end
    for _, e in ipairs(s.spice.kinds or {}) do kinds[#kinds + 1] = { e[1] * 4, e[2] } end
  end
  for _, e in ipairs(base.list) do kinds[#kinds + 1] = e end

  local length, tries = d:int(2, 14), 0
  repeat
    tries = tries + 1
    d:weighted(kinds)(d)
  until #program.zone(d, "body") >= length or tries > 60
  for _, s in ipairs(chosen) do
    if s.spice.finish then s.spice.finish(d) end
  end

  -- Results: the last ones, those nothing else used, and an argument's state.
  local body = program.zone(d, "body")
  for i = math.max(1, #body - d:int(1, 4)), #body do
    local s = body[i]
    for _, name in ipairs(s.define or {}) do
      if d.env[name] ~= nil and name:find "^[vwin]%d" then d:result(name) end
    end
  end
  if d.trailing then d:result(d.trailing) end
  for _, s in ipairs(program.zone(d, "argument")) do
    for _, name in ipairs(s.define) do
      if name:find "^a" then d:watch(name) end
    end
  end
  return { statements = d.statements, calls = d.calls, protected = d.protected, around = d.around, dtype = d.dtype, spices = names,
    seed = seed, k = k }
end

function generate.title(p) return ("seed %d, program %d: %s"):format(p.seed, p.k, table.concat(p.spices, ", ")) end

return generate
