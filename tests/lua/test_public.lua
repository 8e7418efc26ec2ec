-- What a user sees: ms.NAME, methods, completion, help and hints show the names that are to be called, and none that exist for derivatives
-- or for the library itself (those are in mascon.inside).
-- gcstress: every 200
-- luacheck: globals TestPublic
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local inside = require "mascon.inside"
local prompt = require "mascon.prompt"

TestPublic = {}

local private, public = {}, {}
for _, row in ipairs(ms.ops()) do
  local list = row.private and private or public
  list[#list + 1] = row.name
end

-- The tables that a user looks into.
local function rooms()
  local list = { ms = ms, tensor = ms.methods, ["nn.init"] = ms.nn.init, ["optim.lr_scheduler"] = ms.optim.lr_scheduler }
  for _, name in ipairs { "nn", "optim", "data", "ml", "plot", "image", "checkpoint", "meter", "args" } do list[name] = ms[name] end
  return list
end

function TestPublic.test_no_name_begins_with_an_underscore()
  for where, room in pairs(rooms()) do
    for key in next, room do
      if type(key) == "string" then lu.assertNil(key:match "^_", ("%s.%s is seen by users"):format(where, key)) end
    end
  end
end

function TestPublic.test_private_rows_are_inside_and_nowhere_else()
  lu.assertTrue(#private > 20)
  local x = ms.zeros { 1 }
  for _, name in ipairs(private) do
    lu.assertNotNil(inside[name], name)
    for where, room in pairs(rooms()) do lu.assertNil(rawget(room, name), where .. "." .. name) end
    lu.assertFalse((pcall(function() return x[name .. "_"] end)), name .. "_ is a method")
  end
  for _, name in ipairs(public) do
    if name ~= "mode" then lu.assertNil(inside[name], name) end -- inside.mode is how the library switches its modes, ms.mode a row
  end
end

local function offered(line)
  local set = {}
  for _, name in ipairs((prompt.complete(line))) do set[name] = true end
  return set
end

function TestPublic.test_completion_offers_none_of_them()
  rawset(_G, "ms", ms) -- the prompt completes globals
  rawset(_G, "x_of_test", ms.zeros { 1 })
  local fields, methods = offered "ms.", offered "x_of_test:"
  local typed = offered "ms._"
  rawset(_G, "ms", nil)
  rawset(_G, "x_of_test", nil)
  lu.assertTrue(fields.relu and fields.nn and methods.relu and methods.relu_)
  lu.assertNil(next(typed))
  for _, name in ipairs(private) do lu.assertNil(fields[name] or methods[name] or methods[name .. "_"], name) end
end

function TestPublic.test_help_knows_none_of_them()
  local all = ms.help()
  for _, name in ipairs(private) do
    lu.assertNil(all:find("%f[%w_]" .. name .. "%f[^%w_]"), name .. " is listed")
    local ok, answer = pcall(ms.help, name)
    lu.assertFalse(ok and type(answer) == "string" and answer:find("ms." .. name .. "(", 1, true) ~= nil, name .. " is explained")
  end
end

function TestPublic.test_hints_lead_to_none_of_them()
  local x = ms.zeros { 1 }
  for _, name in ipairs(private) do
    for _, object in ipairs { ms, x } do
      local message = checks.failure(function() return object[name] end)
      lu.assertNil(message:find("did you mean [%w.:]*%f[%w_]" .. name .. "%?"), message)
    end
  end
end
