-- pages: runs Markdown pages as their reader would, and holds what they say comes out against what does.
--
--   mascon tests/pages.lua PAGE.md ...       in the current folder, where the pages leave their files; all in one session
--
-- ```lua        is typed at the prompt: piece by piece, an expression prints its value.
--     1 + 1     --> 2               what is printed must be that; ... stands for anything
--     x[0]      --> error: ...      the piece must fail, and the message be that
--     y         --> first line
--               --> second line     a line with nothing else goes on with what the piece above prints
-- ```lua NAME   is a file: written under that name.
-- ```sh         is typed at a shell, each line by itself; `mascon` is the program that runs this. # --> as above.
-- Other blocks are not run. A piece without --> may print what it likes. Prints `ok` or `not ok` for each block, fails when one is not.
local ms = require "mascon"
local entry = require "mascon.entry"
local system = require "mascon.system"

local program = os.getenv "MASCON" or "mascon"

-- The blocks of a page: { line =, kind =, name =, "first line", ... }.
local function blocks(path)
  local list, block, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local kind, name = line:match "^```(%w*)%s*(%S*)%s*$"
    if block and kind == "" then
      block = nil
    elseif kind and not block then
      block = { line = number, kind = kind, name = name, page = path:match "[^/]+$" }
      list[#list + 1] = block
    elseif block then
      block[#block + 1] = line
    end
  end
  assert(not block, path .. ": a block that does not end")
  return list
end

-- ---- what was printed ------------------------------------------------------------------------------------------------------------

-- What f() prints, and whether it failed (its message is then the last line: error: ...).
local function printed(f)
  local kept, write, old_print = {}, io.write, print
  io.write = function(...) kept[#kept + 1] = table.concat { ... } end -- luacheck: ignore
  print = function(...) -- luacheck: ignore
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    kept[#kept + 1] = table.concat(words, "\t") .. "\n"
  end
  local ok, message = pcall(f)
  io.write, print = write, old_print -- luacheck: ignore
  if not ok then kept[#kept + 1] = "error: " .. tostring(message):gsub("^%[%d+%]:%d+: ", "") .. "\n" end
  return table.concat(kept), not ok
end

-- "a ... b" as a pattern, spaces of any number alike.
local function pattern(want)
  local p = want:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  return "^" .. p:gsub("%%%.%%%.%%%.", ".*") .. "$"
end

-- Raise unless the text has the wanted lines, and no others.
local function compare(got, want)
  local lines = {}
  for line in got:gmatch "[^\n]+" do lines[#lines + 1] = line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "") end
  for i = 1, math.max(#lines, #want) do
    if want[i] == "..." and i == #want then return end -- and whatever follows
    if not (lines[i] and want[i] and lines[i]:find(pattern(want[i]))) then
      error(("expected: %s\n# printed:  %s\n# all:\n%s"):format(want[i] or "nothing more", lines[i] or "nothing", got), 0)
    end
  end
end

-- ---- the prompt --------------------------------------------------------------------------------------------------------------------

local session = setmetatable({ ms = ms, nn = ms.nn, optim = ms.optim, ml = ms.ml, data = ms.data }, { __index = _G })

-- A block may also come as one paste: then it must be something that the prompt can run.
local function pasted(block)
  local lines = {}
  for i, line in ipairs(block) do lines[i] = line:gsub("%s*%-%->.*$", "") end
  local f, message = entry.compile(table.concat(lines, "\n"), session)
  if not f then error(("%s:%d: as one paste: %s"):format(block.page, block.line, tostring(message)), 0) end
end

local function typed(block)
  pasted(block)
  local piece, want, started, f, message = {}, {}, 1, nil, nil
  local function finish()
    if not f then return end
    local got, failed = printed(function() entry.finish(f()) end)
    if #want > 0 then compare(got, want) end
    if failed and not (want[#want] or ""):find "^error:" then error(got, 0) end
    piece, want, f = {}, {}, nil
  end
  for i, line in ipairs(block) do
    local code, said = line:match "^(.-)%s*%-%->%s?(.*)$"
    code = code or line
    local ok, e = pcall(function()
      if code:find "%S" then
        finish()
        if #piece == 0 then started = i end
        piece[#piece + 1] = code
        f, message = entry.compile(table.concat(piece, "\n"), session)
        if not f and message ~= true then error(message, 0) end
      elseif #piece > 0 and not f then
        piece[#piece + 1] = ""
      end
      if said then want[#want + 1] = said end
      if i == #block then
        if #piece > 0 and not f then error("it ends too early", 0) end
        finish()
      end
    end)
    if not ok then error(("%s:%d: %s"):format(block.page, block.line + started, e), 0) end
  end
end

-- ---- the shell -------------------------------------------------------------------------------------------------------------------

local function shell(block)
  local folder = program:match "^(.*)/[^/]*$" or "."
  for i, line in ipairs(block) do
    local code, said = line:match "^(.-)%s*#%s*%-%->%s?(.*)$"
    code = (code or line):gsub("^%$ ", "")
    local status, out, complaints = system.run({ "sh", "-c", ('PATH="%s:$PATH"\n%s'):format(folder, code) }, "")
    local ok, e = pcall(function()
      if status ~= 0 then error(("exit status %s\n%s%s"):format(status, out, complaints or ""), 0) end
      if said then compare(out, { said }) end
    end)
    if not ok then error(("%s:%d: %s: %s"):format(block.page, block.line + i, code, e), 0) end
  end
end

local function write(block)
  local f <close> = assert(io.open(block.name, "w"))
  f:write(table.concat(block, "\n"), "\n")
end

local failed = 0
for _, path in ipairs(arg) do
  for _, block in ipairs(blocks(path)) do
    local run = block.kind == "lua" and (block.name ~= "" and write or typed) or block.kind == "sh" and shell
    if run then
      local ok, message = pcall(run, block)
      print(("%s %s:%d%s"):format(ok and "ok" or "not ok", block.page, block.line, ok and "" or "\n# " .. message:gsub("\n", "\n# ")))
      failed = failed + (ok and 0 or 1)
    end
  end
end
os.exit(failed == 0 and 0 or 1)
