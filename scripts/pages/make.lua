-- make: the pages that are made of what ?NAME says. `make docs` calls it.
--
--   mascon scripts/pages/make.lua FOLDER      FOLDER/html/*.html, FOLDER/stubs/mascon.lua, FOLDER/mascon.1, FOLDER/mascon.3
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/../?.lua;" .. package.path
local ms = require "mascon"
local system = require "mascon.system"

local folder = arg[1] or error("make.lua: expected the folder to write to", 0)
local function write(name, text)
  local path = folder .. "/" .. name
  assert(system.mkdir((path:gsub("/[^/]*$", ""))))
  assert(system.replace(path, text))
end
local function contents(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

local tutorial = {}
for _, name in ipairs { "1-prompt", "2-train", "3-look", "4-change", "5-script", "pytorch" } do
  tutorial[name] = contents(("%s/../tutorial/%s.md"):format(here, name))
end
local count = 0
for name, text in pairs(require "pages.html"(tutorial)) do
  write("html/" .. name, text)
  count = count + 1
end
write("stubs/mascon.lua", require "pages.stubs"())
write("mascon.3", require "pages.man"(ms.version))
write("mascon.1", contents(here .. "/../../bindings/mascon.1"))
print(("%d pages, the stubs and two manual pages are in %s"):format(count, folder))
