-- help: ms.help(name) and ?name at the prompt. Operations explain themselves by their rows; functions of the Lua part by the comment above
-- them in their source; settings of the runtime by the comments at the end of this file.
local ms = require "mascon"
local text = require "mascon.text"

local kinds = {
  [0] = "tensor", "tensor (floating)", "tensor or number", "list of tensors", "tensor, changed in place", "positions (integers from 1)",
  "labels (integers from 1)", "integer", "size", "dimension", "dimension or list of them", "position", "list of sizes",
  "integer or list of them", "boolean", "number", "dtype", "word",
}

local rows
local function row(name)
  if not rows then
    rows = {}
    for _, r in ipairs(ms.ops()) do rows[r.name] = r end
  end
  return rows[name]
end

-- "x:tensor dim:dim=-1 ..." as lines, one per argument.
local function arguments(r)
  local lines, plain = {}, r.signature:gsub("|.*", "")
  local defaults = {}
  for k, v in (r.signature:match("|(.*)") or ""):gmatch("(%a)=(%S+)") do defaults[k] = v end
  local i = 0
  for item in plain:gmatch("%S+") do
    i = i + 1
    local arg = r.args[i]
    local default = item:match("=(.*)$") or defaults[arg.name]
    local words = item:match("enum%((.-)%)")
    lines[i] = ("  %-14s %s%s"):format(arg.name, words and words:gsub("|", " | ") or kinds[arg.kind] or "?",
      default == "none" and ", may be left out" or default and ", default " .. default or "")
  end
  return lines
end

local function of_row(r)
  local names = {}
  for i, a in ipairs(r.args) do names[i] = a.name end
  local out = { ("ms.%s(%s)%s"):format(r.name, table.concat(names, ", "),
    r.args[1] and r.args[1].tensor and #r.args > 0 and ("   or   %s:%s(%s)"):format(names[1], r.name, table.concat(names, ", ", 2)) or "") }
  out[#out + 1] = "  " .. r.doc
  out[#out + 1] = table.concat(arguments(r), "\n")
  if r.elementwise then
    local in_place = r.no_grad and "" or (", in place: x:%s_(...)"):format(r.name)
    out[#out + 1] = ("  element by element: %s; operands are broadcast%s"):format(r.formula, in_place)
  end
  local kind = r.mutates and "changes its arguments in place; no gradient" or r.no_grad and "its result carries no gradient"
    or r.create and "on the device in {device = ...}" or r.view and "a view: shares memory with x" or nil
  if kind then out[#out + 1] = "  " .. kind end
  return table.concat(out, "\n")
end

-- The comment that begins with "-- NAME" in the library's source, up to the end of its block.
local function of_source(name)
  local start = "^%s*%-%- " .. name:gsub("%p", "%%%0")
  for _, module in ipairs(ms.source()) do
    local out
    for line in (ms.source(module) .. "\n"):gmatch("(.-)\n") do
      local comment = line:match("^%s*%-%-%s?(.*)$")
      if out and not comment then return table.concat(out, "\n") end
      if out then
        out[#out + 1] = comment
      elseif comment and line:find(start .. "[^%w_]") or line:find(start .. "$") then
        out = { comment }
      end
    end
  end
end

local function resolve(path)
  local v = ms
  for part in path:gmatch("[^%.:]+") do
    if type(v) ~= "table" then return nil end
    v = v[part]
  end
  return v
end

-- ms.help(name) -> text: an operation ("softmax"), a function ("nn.linear"), or nothing for an overview.
return function(name)
  if name == nil or name == "" then
    local list = {}
    for _, r in ipairs(ms.ops()) do list[#list + 1] = r.name end
    table.sort(list)
    return "operations: " .. table.concat(list, " ")
      .. "\nparts: ms.nn ms.optim ms.ml ms.data ms.plot ms.image ms.args ms.run ms.progress ms.meter"
      .. '\nms.help("softmax") or ?softmax explains one'
  end
  if type(name) ~= "string" then error("help: expected a name, as ms.help(\"softmax\")", 2) end
  name = name:gsub("^ms[%.:]", "")
  local r = row(name:match("[%w_]+$")) or row((name:match("[%w_]+$") or ""):gsub("_$", ""))
  if r and not name:find("%.") then return of_row(r) end
  local t = of_source(name) or of_source("ms." .. name)
  if t then return t end
  local v = resolve(name)
  if r then return of_row(r) end
  local names = {}
  for _, q in ipairs(ms.ops()) do names[#names + 1] = q.name end
  if v ~= nil then return ("ms.%s is a %s"):format(name, type(v)) end
  return ("nothing is known of '%s'%s"):format(name, text.hint(name, names))
end

-- ms.compile(f) -> step, which is called as f is
-- Records what f does with tensors (forward, backward, optimizer) and replays it: the first call runs f, the second records, the third
-- records and compares, from the fourth on f's Lua does not run, so that what changes from call to call must be handed in (numbers and
-- tensors may be) or be an optimizer's lr. Other sizes, dtypes, train or eval mode, fields of modules, and numbers that f looks at
-- (compares, counts with) by value: a recording of its own. MASCON_COMPILE=check runs f
-- as well, every time, and compares; =off only f. step:report() -> what was recorded; step:profile(n, ...) -> where the time of n replays
-- with these arguments goes (they train, if the step does).

-- ms.threads() -> how many threads the kernels use; ms.threads(n) sets it
-- At first MASCON_THREADS, else the cores this process may use. Results are the same to the bit with any number (ms.deterministic).

-- ms.deterministic() -> true or false; ms.deterministic(bool) sets it
-- true, as at first: the same bits whatever the number of threads. false: sums may be cut by the number of threads, which saves a little
-- memory and time where there are few; the last bits then depend on it.

-- ms.flush_denormal() -> true or false; ms.flush_denormal(bool) sets it
-- true, as at first on x86-64: operations on the CPU take numbers too small for full precision (f32 below 1.18e-38, f64 below 2.2e-308)
-- for zero, as JAX does (conversions, and so `item` and printing of f32, too; moves keep their bits). false: IEEE 754's gradual underflow,
-- as in PyTorch; a training step whose sigmoids have saturated can then take three times as long: each product with such a number takes
-- some hundred cycles.

-- ms.precision() -> "f32" or "bf16"; ms.precision(name) sets it
-- How f32 products are computed. "f32", as at first: in f32 throughout. "bf16": operands of large products (matmul, linear) and of
-- convolutions are rounded to bf16, 8 bits of mantissa, and the products added up in f32; tensors stay f32. On AMX where the processor
-- has it (MASCON_AMX=0: not), else with AVX512_BF16, where gradients of convolution weights stay f32; raises where there is neither.
-- A compiled step goes by the precision it is called under.
