-- minimise: the same failure in fewer words. minimise(p, fails) gives a program for which fails(text) still holds, and from which nothing
-- can be taken: no statement, no call, no operation, no part of an expression that it knows how to leave out.
local program = require "programs.program"

local function copy(p)
  local q = {}
  for k, v in pairs(p) do q[k] = v end
  q.statements = {}
  for i, s in ipairs(p.statements) do
    q.statements[i] = {}
    for k, v in pairs(s) do q.statements[i][k] = v end
  end
  return q
end

-- All texts of a program's statements from `from` on through f.
local function rewrite(p, from, f)
  for i = from, #p.statements do
    local s = p.statements[i]
    if s.text then s.text = f(s.text) end
    if s.expr then s.expr = f(s.expr) end
  end
end

-- The ways to shorten an expression: without a method call, with what stands in parentheses only, with one side of an operator.
local function shorter(e)
  local list = {}
  local function try(t) if t ~= e and #t > 0 then list[#list + 1] = t end end
  local at = 1
  while true do -- x:f(...) -> x
    local a, b = e:find(":[%a_][%w_]*%s*%b()", at)
    if not a then break end
    try(e:sub(1, a - 1) .. e:sub(b + 1))
    at = a + 1
  end
  at = 1
  while true do -- x[...] -> x
    local a, b = e:find("%b[]", at)
    if not a then break end
    try(e:sub(1, a - 1) .. e:sub(b + 1))
    at = a + 1
  end
  at = 1
  while true do -- f(x, ...) -> x; (x) -> x
    local a, b = e:find("[%a_%.]*%b()", at)
    if not a then break end
    local inner = e:sub(a, b):match "%((.*)%)$"
    try(e:sub(1, a - 1) .. inner .. e:sub(b + 1))
    try(e:sub(1, a - 1) .. (inner:match "^([%w_]+)," or inner) .. e:sub(b + 1))
    at = a + 1
  end
  at = 1
  while true do -- x + y -> x, -> y
    local a, b = e:find(" [%+%-%*/%^] ", at)
    if not a then break end
    try(e:sub(1, a - 1))
    try(e:sub(b + 1))
    local left, right = e:sub(1, a - 1):match "^(.-)[%w_%.]+$", e:sub(b + 1):match "^[%w_%.]+(.*)$"
    if left then try(left .. e:sub(b + 1)) end
    if right then try(e:sub(1, a - 1) .. right) end
    at = b
  end
  return list
end

-- fails(text) -> does the program still fail in the same way? limit: how many programs to try at most.
return function(p, fails, limit)
  local tries = 0
  p = copy(p)
  local function holds(q)
    if tries >= (limit or 2000) then return false end
    tries = tries + 1
    local text = program.text(q)
    return load(text) ~= nil and fails(text)
  end
  local function take(q) -- q instead of p, if it fails as well
    if holds(q) then
      p = q
      return true
    end
  end

  local function without_statements()
    local changed, size = false, math.max(1, #p.statements // 2)
    while size >= 1 do
      local at = #p.statements
      while at >= 1 do
        local q = copy(p)
        for _ = 1, math.min(size, at) do table.remove(q.statements, at - math.min(size, at) + 1) end
        if take(q) then changed = true end
        at = at - size
      end
      size = size // 2
    end
    return changed
  end
  -- A name for another: v2 = f(v1) goes, and v1 stands wherever v2 stood.
  local function without_names()
    local changed = false
    for i = #p.statements, 1, -1 do
      local s = p.statements[i]
      local name = s and s.define and #s.define == 1 and s.define[1]
      if name then
        local seen = {}
        for other in (s.expr or s.text):gmatch "%f[%w_]%a+%d+%f[^%w_]" do
          if not seen[other] and other ~= name then
            seen[other] = true
            local q = copy(p)
            table.remove(q.statements, i)
            rewrite(q, 1, function(t) return (t:gsub("%f[%w_]" .. name .. "%f[^%w_]", other)) end)
            if take(q) then
              changed = true
              break
            end
          end
        end
      end
    end
    return changed
  end
  local function without_parts()
    local changed = false
    for i = 1, #p.statements do
      for _, key in ipairs(p.statements[i].zone == "see" and {} or { "expr", "text" }) do
        local again = true
        while again do
          again = false
          for _, t in ipairs(p.statements[i][key] and shorter(p.statements[i][key]) or {}) do
            local q = copy(p)
            q.statements[i][key] = t
            if take(q) then
              changed, again = true, true
              break
            end
          end
        end
      end
      if p.statements[i].at == nil and p.statements[i].zone == "argument" then -- need it be an argument?
        local q = copy(p)
        q.statements[i].zone = "make"
        if not p.statements[i].expr:find "call" and take(q) then changed = true end
      end
    end
    return changed
  end
  local function without_calls()
    for n = 1, (p.calls or program.CALLS) - 1 do
      local q = copy(p)
      q.calls = n
      if take(q) then return true end
    end
  end
  without_calls()
  repeat
    local a = without_statements()
    local b = without_names()
    local c = without_parts()
  until not (a or b or c) or tries >= (limit or 2000)
  without_calls()
  return p, tries
end
