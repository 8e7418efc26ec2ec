-- sharing: spices (spices.lua) about tensors that share memory, about what is kept, returned and changed, and about random numbers.
local base = require "programs.base"
local Draw = require "programs.draw"
local spices = {}

-- ---- shared memory ---------------------------------------------------------------------------------------------------

local function plain(t) return not t.requires_grad and t:numel() > 0 and Draw.is_float(t) end
local function of_zone(zone)
  return function(t, e) return e.zone == zone and plain(t) end
end

spices.captured_views = { -- captured tensors that share memory
  setup = function(d)
    local c = d:captured(d:shape())
    for _ = 1, d:int(1, 2) do
      d:make(d:chance(0.2) and c or base.view_of(d, c))
    end
    d.free_hand = true
  end,
  kinds = { { 4, base.in_place } },
}

spices.captured_arguments = { -- arguments that are captured tensors, or lie in them; always, or in some of the calls
  setup = function(d)
    local c = d:captured(d:shape())
    for _ = 1, d:int(1, 2) do
      local e = d:chance(0.3) and c or base.view_of(d, c)
      local t = d:eval(e)
      if Draw.is_tensor(t) then
        local other = ("num(200 + call, %s, %q)"):format(Draw.list(t.shape), t.dtype)
        d:argument(d:pick {
          e, e, e, ("call %% 2 == 0 and %s or %s"):format(e, other), ("call < %d and %s or %s"):format(d:int(2, 6), e, other),
          ("call > %d and %s or %s"):format(d:int(2, 6), e, other),
        })
      end
    end
    d.free_hand = d:chance(0.7)
  end,
  kinds = { { 3, base.in_place } },
}

spices.sharing_arguments = { -- two arguments that share memory
  setup = function(d)
    local a = d:tensor(of_zone "argument")
    if not a then return end
    local e = d:chance(0.3) and a or base.view_of(d, a)
    local t = d:eval(e)
    if not Draw.is_tensor(t) then return end
    local other = ("num(300 + call, %s, %q)"):format(Draw.list(t.shape), t.dtype)
    d:argument(d:pick { e, e, ("call %% 2 == 0 and %s or %s"):format(e, other), ("call < %d and %s or %s"):format(d:int(2, 6), e, other) })
    d.free_hand = true
  end,
  kinds = { { 3, base.in_place } },
}

spices.changed_outside = { -- captured tensors and results are changed between the calls
  finish = function(d)
    local c = d:tensor(of_zone "make")
    if c then
      local change = d:pick { "mul_(0.5)", "add_(call)", "neg_()", "fill_(call)", "relu_()" }
      d:between(("%s:%s"):format(c, change), d:chance(0.5) and d:int(2, 8) or nil)
    end
    if d:chance(0.6) then
      d:between([[
for i = 1, r.n do
  if type(r[i]) == "userdata" and r[i].dtype:find "^f" then r[i]:detach():fill_(call) end
end]], nil, { after = true })
    end
  end,
}

spices.reassigned = { -- a captured variable holds another tensor from some call on
  finish = function(d)
    local c = d:tensor(of_zone "make")
    if c then d:between(("%s = %s * 2 + 1"):format(c, c), d:int(2, 8)) end
  end,
}

spices.kept = { -- what the function also keeps
  setup = function(d)
    d.shape_kept = d:shape()
    d.kept = d:make(("{ last = num(65, %s, %q) }"):format(Draw.list(d.shape_kept), d.dtype), "k", true)
    d:watch(d.kept)
  end,
  kinds = { { 1, function(d) return d:body(("%s.last * 0.5 + %s"):format(d.kept, d:fit(d.shape_kept))) end } },
  finish = function(d)
    local v = d:body(("(%s):sin()"):format(d:chance(0.5) and d:fit(d.shape_kept) or d:float() or "num(1, { 2 })"))
    if not v then return end
    d:act(Draw.fill(d:pick { "%k[#%k + 1] = %v", "%k.last = %v", "%k.last = %v", "%k[1] = %v" }, { k = d.kept, v = v }))
    if d:chance(0.8) then d:result(v) end
  end,
}

spices.noted = { -- what the function writes down without having made it: an argument, a count
  setup = function(d)
    d.notes = d:make("{}", "k", true)
    d:watch(d.notes)
  end,
  finish = function(d)
    local a = d:tensor(of_zone "argument")
    d:act(Draw.fill(a and d:chance(0.6) and "%k.last = %a" or "%k.n = (%k.n or 0) + 1", { k = d.notes, a = a }))
  end,
}

spices.fed_back = { -- a result of the last call is an argument of the next
  setup = function(d)
    d.last = d:make("{}", "last", true)
    d.shape_back = d:shape()
    d:argument(("%s[1] or num(66, %s, %q)"):format(d.last, Draw.list(d.shape_back), d.dtype))
  end,
  finish = function(d)
    local e = d:body(("(%s):tanh()"):format(d:fit(d.shape_back)))
    if not e then return end
    table.insert(d.statements, 1, { zone = "result", text = e })
    d:between(("%s[1] = r[1]:detach()"):format(d.last), nil, { after = true })
  end,
}

spices.two_steps = { -- a compiled step used inside another, and by itself
  setup = function(d)
    local c = d:captured(d:shape())
    local body = d:pick { "x:tanh() * 0.5 + %c:sum()", "x:relu() + ms.no_grad(function() return %c:add_(0.1):mean() end)",
      "(x * x):sum() * %c", "x * %c:mean(), x" }
    d.inner = d:make(("compile(function(x) return %s end)"):format(Draw.fill(body, { c = c })), "f", true)
    local by_itself = ("see(\"inner\", %s(num(67 + call, { 3 }, %q)))"):format(d.inner, d.dtype)
    if d:chance(0.6) then d:between(by_itself, d:chance(0.4) and d:int(2, 8)) end
  end,
  kinds = { { 6, function(d)
    local x = d:float()
    return x and d:body(("(%s(%s))"):format(d.inner, x))
  end } },
}

spices.errors = { -- a call that raises, and then the step goes on
  setup = function(d)
    d.protected = true
    local at = d:int(1, 8)
    d.fault = d:argument(("ms.tensor({ call == %d and 7 or 1, 2 }, { dtype = \"i64\" })"):format(at), "y", true)
    d.table = d:captured { 3, 2 }
  end,
  kinds = { { 2, function(d)
    return d:body(Draw.fill(d:pick { "%t:index_select(1, %y)", "nn.cross_entropy(%t[{ { 1, 2 } }], %y)", "%t:gather(1, %y:view { 2, 1 })" },
      { t = d.table, y = d.fault }))
  end } },
  finish = function(d)
    local e = d:body(("%s:index_select(1, %s):sum()"):format(d.table, d.fault))
    if e then d:result(e) end
  end,
}

spices.nothing = { -- results that are no tensors, nil at the end among them
  finish = function(d)
    if d:chance(0.5) then d:result(d:pick { "nil", "true", '"text"', "3", "{ 1, { two = 2 } }" }) end
    d.trailing = d:pick { "nil", "nil, nil", "true", '"text"', "3" }
  end,
}

spices.modes = { -- calls with and without gradients
  setup = function(d)
    d.around = d:pick { "(call % 2 == 0 and ms.no_grad or plainly)", "(call > 5 and ms.no_grad or plainly)", "ms.no_grad" }
  end,
  kinds = { { 4, function(d)
    local x = d:float()
    return x and d:body(("%s * (ms.grad_enabled() and 1 or 2)"):format(x))
  end } },
}

spices.garbage = { -- collections inside and between, memory given back
  kinds = { { 3, function(d) return d:act(d:pick { "collectgarbage()", 'collectgarbage("step")' }) end } },
  finish = function(d)
    d:between(d:pick { "collectgarbage()", 'collectgarbage(); ms.memory("release")', 'if type(step) ~= "function" then step:report() end',
      "for i = 1, 20 do ms.rand({ i }):clone() end" })
  end,
}

spices.configuration = { -- what it captured besides tensors is changed between the calls
  setup = function(d) d.settings = d:make('{ scale = 2, how = "tanh", list = { 1, 2 } }', "s", true) end,
  kinds = { { 6, function(d)
    local x = d:float()
    local e = d:pick { "%x * %s.scale", '%s.how == "tanh" and %x:tanh() or %x:sin()', "%x[%s.how](%x)", "%x + #%s.list", "%x * %s.list[1]" }
    return x and d:body(Draw.fill(e, { x = x, s = d.settings }))
  end } },
  finish = function(d)
    local text = d:pick { "%s.scale = call", '%s.how = "sin"', "%s.list[#%s.list + 1] = 3", "%s.list = { 5 }",
      '%s = { scale = 3, how = "sin", list = { 2 } }' }
    d:between(Draw.fill(text, { s = d.settings }), d:int(2, 8))
  end,
}

spices.scopes = { -- temporaries freed inside the step
  kinds = { { 5, function(d)
    local x, v = d:float(), d:name "v"
    if not x then return end
    local text = "do local s <close> = ms.scope() %v = s:keep((%x * 0.5):tanh() + %y) end"
    return d:add { zone = "body", define = { v }, text = Draw.fill(text, { v = v, x = x, y = base.partner(d, x) }) }
  end } },
}

spices.sizes = { -- what a tensor says of itself
  kinds = { { 6, function(d)
    local x = d:tensor(function(t) return Draw.is_float(t) and #t.shape > 0 end)
    local e = d:pick { "%x / #%x", "%x:sum() / %x:numel()", "ms.zeros(%x.shape, { dtype = %x.dtype }) + %x", "%x * %x:size(1)",
      "ms.ones_like(%x) * #%x.shape", "ms.zeros_like(%x) + %x", '%x.dtype == "f32" and %x or %x * 2', "%x.requires_grad and %x or %x * 3" }
    return x and d:body(Draw.fill(e, { x = x }))
  end } },
}

spices.dtypes = { -- now f32, now f64
  setup = function(d)
    d:argument(("num(68 + call, %s, call %% 2 == 0 and \"f32\" or \"f64\")"):format(Draw.list(d:shape())))
    d.calls = 12
  end,
}

spices.carried = { -- a captured variable that the step sets anew
  setup = function(d) d.carried = d:captured(d:shape()) end,
  finish = function(d)
    if not d.carried then return end
    local shape = d.env[d.carried].shape
    d:act(("%s = (%s * 0.5 + %s):tanh():detach()"):format(d.carried, d.carried, d:fit(shape)))
    d:result(d.carried)
  end,
}

spices.views_as_results = {
  finish = function(d)
    for _ = 1, d:int(1, 3) do
      local x = d:tensor()
      if x then
        local e = d:chance(0.3) and x or d:chance(0.2) and ("%s:to(%q)"):format(x, d:pick { "f32", "f64" }) or base.view_of(d, x)
        if d:eval(e) ~= nil then d:result(e) end
      end
    end
  end,
}

spices.turned_arguments = { -- strides, offsets
  setup = function(d)
    local m, n, q = d.m, d.n, d.dtype
    d:argument(d:pick {
      ("num(400 + call, { %d, %d }, %q):transpose(1, 2)"):format(n, m, q),
      ("num(400 + call, { %d, %d }, %q)[{ {}, { 2, -1 } }]"):format(m, n + 1, q),
      ("num(400 + call, { %d, 1 }, %q):expand { %d, %d }"):format(m, q, m, n),
      ("num(400 + call, { %d }, %q)[{ { 1, -1, 2 } }]"):format(2 * n, q),
      ("num(400, { 12, %d, %d }, %q)[call]"):format(m, n, q), ("num(400, { 12, %d }, %q)[{ { call, call + %d } }]"):format(n, q, m - 1),
    })
  end,
  kinds = { { 3, base.view } },
}

spices.two_sizes = { -- a recording per size
  setup = function(d)
    d:argument(("num(500 + call, { call %% 3 == 0 and %d or %d, %d }, %q)"):format(d.m + 1, d.m, d.n, d.dtype))
    d.calls = 14
  end,
  kinds = { { 5, base.chain }, { 3, base.reduction } },
}

-- ---- random numbers --------------------------------------------------------------------------------------------------

local function draw_numbers(d)
  local shape = Draw.list(d:shape())
  d.may_draw = true
  return d:body(d:pick {
    ("ms.rand(%s, -1, 1, { dtype = %q })"):format(shape, d.dtype), ("ms.randn(%s, { dtype = %q })"):format(shape, d.dtype),
    ("ms.bernoulli(%s, 0.5, { dtype = %q })"):format(shape, d.dtype), ("ms.randint(1, 4, %s):to(%q)"):format(shape, d.dtype),
    ("ms.dropout(%s, 0.4)"):format(d:float() or "ms.ones { 3 }"), "ms.randperm(4)",
  })
end
spices.random = { kinds = { { 6, draw_numbers } } }

spices.luas_own_random = {
  kinds = { { 2, function(d)
    local x = d:float()
    return x and d:body(("%s * %s"):format(x, d:pick { "math.random()", "math.random(3)", "(os.time() % 7 + 1) * 0 + math.random(2)" }))
  end } },
}

return spices
