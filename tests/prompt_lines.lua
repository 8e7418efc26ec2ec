-- prompt_lines: random lines as somebody might type them at the prompt, from a grammar, and garbage.
--   mascon tests/prompt_lines.lua LINES SEED
-- Every 50 lines whatever is unfinished is ended, and the session says "alive N". tests/sh/test_session.sh runs them.
local count, seed = math.tointeger(tonumber(arg[1])) or 300, math.tointeger(tonumber(arg[2])) or 1
math.randomseed(seed)

local function one_of(list) return list[math.random(#list)] end
local function words(s)
  local list = {}
  for w in s:gmatch "%S+" do list[#list + 1] = w end
  return list
end
local function chance(p) return math.random() < p end

local names = words [[x y z t f g net o s _ _1 _2 _3]]
local methods = words [[sum mean reshape transpose exp log matmul item totable backward detach shape max sort unsqueeze
  size nosuch add_ mul clone parameters zero_grad step forward state_dict train]]
local calls = words [[ms.randn ms.zeros ms.tensor ms.arange ms.ones ms.randint ms.stack ms.grad nn.linear nn.sequential
  nn.relu optim.adam ml.knn ml.pca ms.help ms.memory ms.scope ms.compile tostring select setmetatable pcall error
  string.rep coroutine.wrap rawget next type ms.no_grad data.nosuch ms.meter.mean]]
local commands = { "%who", "%mem", "%time", "%help", "%nosuch", "%plot", "%img", "%where", "%up", "%down 3", "%reload", "%", "%time x =",
  "%img x",  "%time ms.randn{20, 20}:matmul(ms.randn{20, 20})" }

local expression

local function number()
  return one_of { "0", "1", "-1", "2", "3", "0.5", "1e3", "0x10", "1//0", "0/0", "math.huge", "math.mininteger" }
end
local function list(f, most)
  local parts = {}
  for i = 1, math.random(0, most) do parts[i] = f() end
  return table.concat(parts, ", ")
end

function expression(depth)
  depth = depth or 3
  local k = depth <= 0 and math.random(3) or math.random(12)
  local function inner() return expression(depth - 1) end
  if k == 1 then return number() end
  if k == 2 then return one_of(names) end
  if k == 3 then return one_of { '"text"', "'a\\n\\27[31mb'", "[[long\nstring]]", "nil", "true", "{}", '"é\\xff"' } end
  if k == 4 then return one_of(calls) .. "(" .. list(inner, 3) .. ")" end
  if k == 5 then return one_of(calls) .. "{" .. list(number, 3) .. "}" end
  if k == 6 then return one_of(names) .. ":" .. one_of(methods) .. "(" .. list(inner, 2) .. ")" end
  if k == 7 then return one_of(names) .. "." .. one_of(methods) end
  if k == 8 then return one_of(names) .. "[" .. inner() .. "]" end
  if k == 9 then return ("(%s %s %s)"):format(inner(), one_of(words "+ * / .. ^ == < and or // %"), inner()) end
  if k == 10 then return "{" .. list(inner, 3) .. ", a = " .. inner() .. "}" end
  if k == 11 then return "function(...) return " .. inner() .. " end" end
  return one_of { "#", "-", "not " } .. inner()
end

local function statement()
  local k = math.random(11)
  if k <= 3 then return one_of(names) .. " = " .. expression() end
  if k == 4 then return "local " .. one_of(names) .. ", " .. one_of(names) .. " = " .. list(expression, 3) end
  if k == 5 then return "for i = 1, " .. one_of { "2", "3", "0.5" } .. " do " .. one_of(names) .. " = " .. expression() .. " end" end
  if k == 6 then return "function " .. one_of(names) .. "(a)\n  return a\nend" end
  if k == 7 then return "if " .. expression() .. " then\n" .. one_of(names) .. " = 1 end" end
  if k == 8 then return one_of(names) .. " = " .. expression() .. "; " .. expression() .. (chance(0.3) and ";" or "") end
  if k == 9 then return "do local s <close> = ms.scope() " .. one_of(names) .. " = " .. expression() .. " end" end
  return expression() .. (chance(0.2) and ";" or "")
end

local function garbage()
  local bytes = {}
  for i = 1, math.random(0, 40) do
    local b = math.random(0, 255)
    bytes[i] = (b == 10 or b == 0) and "?" or string.char(b)
  end
  return table.concat(bytes)
end

-- A good line with a piece cut out or doubled.
local function damaged()
  local s = statement()
  local i, j = math.random(#s), math.random(#s)
  return chance(0.5) and s:sub(1, i) .. s:sub(math.max(i, j)) or s:sub(1, i) .. s:sub(math.min(i, j))
end

print "x, y, z, t = ms.randn{3, 4}, ms.ones{4}, ms.randn{2, 3, 4}, { 1, { 2 }, a = 'b' }"
print "f, g, net, o, s = print, math.max, nn.linear(4, 2), nil, 'text'; o = optim.adam(net:parameters())"
for i = 1, count do
  local r = math.random()
  local line = r < 0.6 and statement() or r < 0.75 and damaged() or r < 0.85 and garbage() or r < 0.93 and one_of(commands)
    or "?" .. one_of { "x", "net", "ms.randn", "softmax", "nosuch", "?loss", "nn", "", "t.a" }
  if not line:find "exit" and not line:find "quit" and not line:find "while" and not line:find "goto" and not line:find "repeat" then
    print(line)
  end
  if i % 50 == 0 then
    print "]] ]==]\n!!\nend!!"
    print(("io.write('\\nalive %d\\n') io.flush()"):format(i))
  end
end
print "]] ]==]\n!!"
for _, name in ipairs(names) do print(name .. " = nil") end
print "1\n2\n3\n4\ncollectgarbage() collectgarbage() io.write('\\nlive ', ms.memory().live, '\\n')"
