-- spices: what makes a program hard to replay. Each program gets a few of them. A spice is a table of
--
--   setup(d)      before the body: tensors that are captured, arguments
--   kinds         { weight, kind } for the body
--   finish(d)     after the body: what is kept, what happens between the calls
--
-- all optional. Numbers, texts and tables handed in; tensors that share memory; random numbers; results. Gradients and training are in
-- training.lua.
local program = require "programs.program"
local base = require "programs.base"
local from_rows = require "programs.from_rows"
local Draw = require "programs.draw"
local spices = {}

local CALLS = program.CALLS

local function per_call(f)
  local list = {}
  for i = 1, CALLS do list[i] = tostring(f(i)) end
  return ("(%s)[call]"):format(Draw.list(list))
end

-- ---- numbers ---------------------------------------------------------------------------------------------------------

local series = {
  function() return "call" end,
  function() return "call / 4" end,
  function() return "2.5 - call / 2" end,
  function(d) return tostring(d:constant()) end,
  function() return per_call(function(i) return ({ 2, 3, 2, 1, 0, 0, 1, 2 })[i] end) end,
  function() return per_call(function(i) return ({ 1, 1, 1, 2, 1, 2, 3, 1 })[i] end) end,
  function() return "(call % 2)" end,
  function() return "(call - 1.0)" end,
}
local function number(d)
  local name = d:argument(d:pick(series)(d), "n")
  d.numbers[#d.numbers + 1] = name
  return name
end
local function a_number(d) return #d.numbers > 0 and d:pick(d.numbers) or tostring(d:constant()) end

-- A new number from those there are.
local function arithmetic(d)
  if #d.numbers == 0 then return end
  local a, b = d:pick(d.numbers), d:chance(0.5) and d:pick(d.numbers) or d:constant()
  local e = d:pick { "%s * %s", "%s + %s", "%s - %s", "(%s) / (%s + 10)", "%s * 2 + %s", "-%s + %s", "(%s + 3) ^ 0.5 + %s",
    "%s - 1 / (%s + 20)" }
  local name = d:body(e:format(a, b), "n")
  local v = name and d.env[name]
  if type(v) ~= "number" or not (math.abs(v) < 100) then return end
  d.numbers[#d.numbers + 1] = name
  return true
end

local function with_number(d)
  local x, n = d:float(), a_number(d)
  if not x then return end
  local e = d:pick {
    "%x * %n", "%n + %x", "%n - %x", "%x / (%n + 10)", "%n / %p", "%p ^ %n", "(%n + 11) ^ %x", "%x ^ %n", "%x:clamp(%n - 1, %n + 1)",
    "%x:leaky_relu(%n)", "ms.lerp(%x, %y, %n)", "%x:gt(%n)", "ms.where(%x:gt(%m), %x, %n)", "%x:masked_fill(%x:lt(0), %n)",
    "%x:pad({ 1, 1 }, %n)", "%x:elu(%n)", "%x %% (%n + 20)", "%x // (%n + 20)", "ms.full(%s, %n, { dtype = %d })",
    "ms.tensor({ %n, %m }, { dtype = %d })", "(%x * %n + %m):tanh()", "ms.mul_add(%x, %n, %m)" }
  return d:body((Draw.fill(e, { x = x, n = n, m = a_number(d), p = Draw.into(x, 0.5, 2), y = e:find "%%y" and d:fit(d.env[x].shape),
    s = Draw.list(d.env[x].shape), d = ("%q"):format(d.dtype) }):gsub("%%%%", "%%")))
end

local function from_number(d)
  local n = a_number(d)
  local e = d:pick {
    "ms.linspace(%n, %c, %k, { dtype = %d })", "ms.linspace(%c, %n, %k, { dtype = %d })", "ms.full({ %k }, %n, { dtype = %d })",
    "ms.arange(%n, %n + %k, 1, { dtype = %d })", "ms.arange(-2, %n + %k, 1, { dtype = %d })", "ms.arange(0, 2, %n + 1, { dtype = %d })",
    "ms.rand({ %k }, %n, %n + 1, { dtype = %d })", "ms.randn({ %k }, %n, 0.5, { dtype = %d })" }
  return d:body(Draw.fill(e, { n = n, c = d:constant(), k = d:int(1, 5), d = ("%q"):format(d.dtype) }))
end

spices.numbers = {
  setup = function(d) for _ = 1, d:int(1, 3) do number(d) end end,
  kinds = { { 8, with_number }, { 3, arithmetic }, { 2, from_number } },
  finish = function(d) if d:chance(0.4) then d:result(a_number(d)) end end,
}

-- Looking at a number: as what it is, or as a decision.
local function look(d)
  if #d.numbers == 0 then return end
  local n, x, v = d:pick(d.numbers), d:float(), d:name "v"
  if not x then return end
  local k = d:pick { "0", "1", "2", "3", "0.5" }
  local text = d:pick {
    "if %n == %k then %v = %x * 10 else %v = %x * 0.5 end",
    "if %n ~= %k then %v = %x * 10 else %v = %x * 0.5 end",
    "%v = %x * (({ 0.1, 0.5, 0.7 })[%n] or 1)",
    "%v = type(%n) == \"number\" and %x * 2 or %x",
    "%v = math.type(%n) == \"integer\" and %x * 2 or %x",
    "%v = %x * (tonumber(%n) or 5)",
    "%v = rawequal(%n, %k) and %x * 3 or %x",
    "%v = %x if %n > %k then %v = %v * 2 end",
    "%v = %x * math.max(%n, 1)",
    "%v = %x * (%n // 2 + 1)",
    "%v = %x * (%n % 2 + 1)",
    "%v = %x + #tostring(%n)",
    "%v = %x * (({ [0] = 1, 2, 3 })[%n] and 2 or 1)",
    "%v = %x for i = 1, %n do %v = %v * 0.9 end",
    "local seen = { [%n] = 2 } %v = %x * (seen[%k] or 3)",
    "%v = %n and %x * 2 or %x",
    "%v = %x * math.sqrt(%n + 20)",
    "%v = %x * (math.tointeger(%n) or 7)",
  }
  return d:add { zone = "body", define = { v }, text = (text:gsub("%%(%a)", { n = n, k = k, v = v, x = x })) }
end
spices.looking_at_numbers = { setup = number, kinds = { { 8, look }, { 2, with_number } } }

-- Numbers that a double cannot hold exactly.
local function with_large(d)
  if not d.large then return end
  local e = d:pick { "%w + %l", 'ms.full({ 2 }, %l, { dtype = "i64" })', "%w:eq(%l)", "(%w + %l) - %l", "%w - (%l - %k)",
    "ms.maximum(%w, %l)" }
  return d:body(Draw.fill(e, { w = d.whole, l = d.large, k = d:below(9) }), "i")
end
spices.large_numbers = {
  setup = function(d)
    d.large = d:argument(d:pick { "9007199254740993", "(1 << 53) + 10", "(1 << 60)", "4611686018427387905" } .. " + call", "m", true)
    d.whole = d:make("ms.tensor({ 1, 2, 3 }, { dtype = \"i64\" })", "i", true)
  end,
  kinds = { { 6, with_large } },
  finish = function(d)
    d:result(d.large)
    for _, s in ipairs(program.zone(d, "body")) do
      if s.define and s.define[1]:find "^i" then d:result(s.define[1]) end
    end
  end,
}

-- ---- texts, booleans, tables -----------------------------------------------------------------------------------------

local function branch(d)
  local x, v = d:float(), d:name "v"
  if not x or not d.text then return end
  local ways = { "%s:tanh()", "%s * 2", "%s:relu() + 1", "%s:flip { 1 }", "%s - 0.5" }
  local a, b = d:pick(ways):format(x), d:pick(ways):format(x)
  return d:add { zone = "body", define = { v }, text = ("if %s then %s = %s else %s = %s end"):format(
    d:chance(0.5) and d.text .. ' == "left"' or d.flag, v, a, v, b) }
end
spices.texts = {
  setup = function(d)
    d.text = d:argument(d:pick { '(call % 2 == 0 and "left" or "right")', '(call < 5 and "left" or "right")', '"left"' }, "t", true)
    d.flag = d:argument(d:pick { "(call % 3 == 0)", "(call < 4)", "true" }, "t", true)
  end,
  kinds = { { 6, branch } },
}

local function table_field(d)
  if not d.box then return end
  local x = d:float()
  if not x then return end
  local s, how = d.box, d:below(7)
  if how == 0 then return d:body(("%s.h * 0.5 + %s"):format(s, d:fit(d.env[s].h.shape))) end
  if how == 1 then return d:body(("%s * %s.k"):format(x, s)) end
  if how == 2 then return d:act(("%s.k = %s.k + 1"):format(s, s)) end
  if how == 3 then return d:act(("%s.h = (%s.h * 0.5 + %s):tanh()"):format(s, s, d:fit(d.env[s].h.shape))) end
  if how == 4 then return d:act(("%s.last = %s"):format(s, x)) end
  if how == 5 then return d:act(("%s.h:mul_(0.9)"):format(s)) end
  return d:act(("%s.list[1], %s.list[2] = %s.list[2], %s.list[1]"):format(s, s, s, s))
end
spices.tables = {
  setup = function(d)
    local shape = Draw.list(d:shape())
    local with = { s = shape, d = ("%q"):format(d.dtype) }
    local kept = d:make(Draw.fill("{ h = num(70, %s, %d), k = 2, list = { num(71, { 2 }, %d), num(72, { 2 }, %d) } }", with), "s", true)
    with.o = kept
    d:watch(kept)
    d.box = d:argument(d:chance(0.7) and kept
      or Draw.fill("{ h = num(70 + call, %s, %d), k = call, list = { %o.list[1], num(call, { 2 }, %d) } }", with), "s", true)
    d:watch(d.box)
  end,
  kinds = { { 7, table_field } },
  finish = function(d) if d:chance(0.3) then d:result(d.box .. (d:chance(0.5) and ".h" or "")) end end,
}

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
  if type(r[i]) == "userdata" and not r[i].requires_grad and r[i].dtype:find "^f" then r[i]:fill_(call) end
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
    d.kept = d:make("{}", "k", true)
    d:watch(d.kept)
  end,
  finish = function(d)
    local v = d:float()
    if not v then return end
    d:act(d:pick { ("%s[#%s + 1] = %s"):format(d.kept, d.kept, v), ("%s.last = %s"):format(d.kept, v), ("%s[1] = %s"):format(d.kept, v) })
    if d:chance(0.8) then d:result(v) end
  end,
}

spices.carried = { -- a captured variable that the step sets anew
  setup = function(d) d.carried = d:captured(d:shape()) end,
  finish = function(d)
    if not d.carried then return end
    local shape = d.env[d.carried].shape
    d:act(("%s = (%s * 0.5 + %s):tanh()"):format(d.carried, d.carried, d:fit(shape)))
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

-- ---- families of operations ------------------------------------------------------------------------------------------

spices.images = {
  setup = function(d)
    d:argument(("num(600 + call, { 2, 2, 4, 4 }, %q)"):format(d.dtype))
    d:captured { 2, 2, 3, 3 }
  end,
  kinds = {
    { 4, from_rows.of { "conv2d", "conv_transpose2d", "avg_pool2d", "max_pool2d", "interpolate", "batch_norm", "conv2d_input_grad" } },
    { 6, function(d)
      local x = d:tensor(function(t) return t.dtype == d.dtype and #t.shape == 4 and t.shape[3] >= 3 and t.shape[4] >= 3 end)
      if not x then return end
      local c = d.env[x].shape[2]
      local e = d:pick { "ms.conv2d(%x, %w, %b, { padding = 1 })", "ms.conv2d(%x, %v)", "ms.avg_pool2d(%x, 2)", "(ms.max_pool2d(%x, 2))",
        "%x:relu()", "ms.conv2d(%x, %u):relu()", "ms.avg_pool2d(ms.conv2d(%x, %w, %b, { padding = 1 }), 2)", "ms.batch_norm(%x)",
        "ms.interpolate(%x, { 6, 5 }, %m)", "ms.conv2d(ms.interpolate(%x, { %h, %i }), %w, { padding = 1 })" }
      local h, w = d.env[x].shape[3], d.env[x].shape[4]
      return d:body(Draw.fill(e, { x = x, w = d:fit { 2, c, 3, 3 }, b = d:fit { 2 }, v = d:fit { 3, c, 2, 2 }, u = d:fit { 2, c, 1, 1 },
        h = 2 * h, i = 2 * w, m = ("%q"):format(d:pick { "nearest", "bilinear", "bicubic" }) }))
    end },
  },
}

spices.indexing = { kinds = { { 6, from_rows.of { "index_select", "index_add", "gather", "scatter_add", "one_hot", "masked_fill", "cat",
  "stack", "sort", "topk", "argmax", "max", "unslice", "flip" } } } }
spices.losses = { kinds = { { 6, from_rows.of { "mse_loss", "l1_loss", "bce_loss", "bce_with_logits", "nll_loss",
  "cross_entropy", "softmax", "log_softmax", "normalize" } } } }
spices.rows = { kinds = { { 12, from_rows.any } } }
spices.chains = { kinds = { { 12, base.chain }, { 6, base.matmul }, { 5, base.in_place } } }
spices.products = { kinds = { { 12, base.matmul }, { 5, base.chain }, { 3, base.in_place } } }
spices.slices = { kinds = { { 10, base.view }, { 4, base.in_place } } }
spices.repetition = { kinds = { { 6, base.again }, { 5, base.in_place } } }
spices.empty = { setup = function(d) d:argument(("ms.zeros({ %s }, { dtype = %q })"):format(d:pick { "0", "0, 3", "2, 0" }, d.dtype)) end }

return spices
