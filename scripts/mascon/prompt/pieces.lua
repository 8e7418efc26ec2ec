-- pieces: several lines that came at once (a paste) and are no chunk as a whole, because some are expressions: each is compiled by itself,
-- as if it had been typed, and prints its value.
local MOST = 1 << 16 -- bytes; each line is tried with those before it

-- Does this line go on with the one before it?
local function goes_on(line)
  if not line or line:find "^%s*%-%-" then return false end
  return line:find "^%s*[%.:,%)%]}%+%*/%%%^<>=~&|%-]" or line:find "^%s*and%f[%W]" or line:find "^%s*or%f[%W]"
end

-- pieces(code, compile) -> a function that runs one piece after the other and gives what the last one gives; nil, and a message that knows
-- more than that of the whole, where some line is none. compile(text, line ends above it) -> function, or nil and a message.
return function(code, compile)
  if #code > MOST or not code:find "\n" then return nil end
  local lines, list, piece, above, why = {}, {}, nil, "", nil
  for line in (code .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  for i, line in ipairs(lines) do
    piece = piece and piece .. "\n" .. line or line
    local f
    if not goes_on(lines[i + 1]) then f, why = compile(piece, above) end
    if f then
      if piece:find "%S" then list[#list + 1] = { f, quiet = piece:find ";%s*$" ~= nil } end
      piece, above = nil, ("\n"):rep(i) -- line numbers go on
    end
  end
  if piece or #list == 0 then return nil, #list > 0 and why or nil end
  local function show(quiet, ...)
    if select("#", ...) > 0 and not quiet then require "mascon.prompt".show(...) end
  end
  return function()
    for i = 1, #list - 1 do show(list[i].quiet, list[i][1]()) end
    return list[#list][1]()
  end
end
