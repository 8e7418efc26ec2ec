-- summary: what a model does with an input, layer by layer: output shapes, parameters, multiply-adds, megabytes.
local ms = require "mascon"
local inside = require "mascon.inside"
local core = require "mascon.nn.module"
local options = require "mascon.options"
local states = require "mascon.state"

local fields = core.fields

local function thousands(n)
  local s = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (s:gsub("^,", ""))
end

local function megabytes(n) return n < 1e4 and ("%d bytes"):format(n) or ("%.2f MB"):format(n / 1e6) end

-- The arguments of the call: a tensor, a list of tensors, or a list of sizes (zeros of that shape).
local function read_input(input)
  if states.is_tensor(input) then return { input } end
  if type(input) == "table" and not debug.getmetatable(input) and #input > 0 then
    local tensors, sizes = true, true
    for _, v in ipairs(input) do
      tensors, sizes = tensors and states.is_tensor(v), sizes and math.type(v) == "integer" and v >= 0
    end
    if tensors then return { table.unpack(input) } end
    if sizes then return { ms.zeros(input) } end
  end
  options.raise("summary: expected an input second, a tensor, a list of tensors, or a list of sizes as { 64, 1, 28, 28 }, got %s",
    states.word(input))
end

-- "64 x 10" of the first result, with "..." where there are more.
local function shape_of(results)
  for i = 1, results.n do
    if states.is_tensor(results[i]) then
      local shape = table.concat(results[i].shape, " x ")
      return (shape == "" and "scalar" or shape) .. (results.n > 1 and ", ..." or "")
    end
  end
  return ""
end

local function bytes_of(results)
  local n = 0
  for i = 1, results.n do n = n + (states.is_tensor(results[i]) and results[i]:nbytes() or 0) end
  return n
end

-- Run the model once with hooks on every module: module -> { calls, flops, shape, bytes }. count: with flops.
local function observe(model, args, count)
  local seen, handles = {}, {}
  local modes, seed, counter = {}, ms.rng_state()
  local back <close> = setmetatable({}, { __close = function() -- luacheck: ignore back
    if count then inside.flops(false) end
    for i = #handles, 1, -1 do handles[i]:remove() end
    for _, p in ipairs(modes) do
      if p[1].training ~= p[2] then p[1].training = p[2] end
    end
    ms.rng_state(seed, counter)
  end })
  for _, m in ipairs(model:modules()) do
    modes[#modes + 1] = { m, m.training }
    local entry = { calls = 0, flops = 0, bytes = 0, begun = {} }
    seen[m] = entry
    handles[#handles + 1] = m:register_forward_pre_hook(function() entry.begun[#entry.begun + 1] = count and inside.flops() or 0 end)
    handles[#handles + 1] = m:register_forward_hook(function(_, _, ...)
      local results = table.pack(...)
      entry.calls, entry.shape = entry.calls + 1, shape_of(results)
      entry.bytes = entry.bytes + bytes_of(results)
      entry.flops = entry.flops + (count and inside.flops() or 0) - table.remove(entry.begun)
    end)
  end
  model:eval()
  if count then inside.flops(true) end
  local guard <close> = ms.no_grad() -- luacheck: ignore guard
  local scope <close> = ms.scope() -- luacheck: ignore scope
  model(table.unpack(args))
  return seen
end

local Summary = { __name = "mascon.summary" }

function Summary.__tostring(s)
  local lines, width = {}, {}
  local rows = { { "layer", "output", "parameters", "MACs" } }
  for _, r in ipairs(s.rows) do
    rows[#rows + 1] = { ("  "):rep(r.depth) .. r.label, r.same and "(is " .. r.same .. ")" or r.calls > 1
      and ("%s (%d calls)"):format(r.output,
      r.calls) or r.output, r.parameters > 0 and thousands(r.parameters) .. (r.trainable == 0 and " (frozen)" or "") or "",
      r.macs and r.macs > 0 and thousands(r.macs) or "" }
  end
  for _, r in ipairs(rows) do
    for i, text in ipairs(r) do width[i] = math.max(width[i] or 0, #text) end
  end
  for i, r in ipairs(rows) do
    local line = r[1] .. (" "):rep(width[1] - #r[1] + 2) .. r[2] .. (" "):rep(width[2] - #r[2] + 2) .. (" "):rep(width[3] - #r[3]) .. r[3]
      .. (" "):rep(width[4] - #r[4] + 2) .. r[4]
    lines[i] = (line:gsub("%s+$", ""))
  end
  lines[#lines + 1] = ("%s parameters (%s trainable, %s frozen), %s MACs"):format(thousands(s.parameters), thousands(s.trainable),
    thousands(s.frozen), s.macs and thousands(s.macs) or "?")
  lines[#lines + 1] = ("input %s, parameters and buffers %s, activations %s"):format(megabytes(s.input_bytes), megabytes(s.parameter_bytes),
    megabytes(s.activation_bytes))
  return table.concat(lines, "\n")
end

-- ms.summary(model, input) -> summary, which prints as a table Runs the model once, in evaluation mode and without gradients, and changes
-- nothing. input: a tensor, a list of tensors (arguments), or a list of sizes. For each module, in order: its output's shape, the
-- parameters in it and below (a shared one once, where it is first), the multiply-adds (MACs) of its products and convolutions (batched as
-- the input is), how often it was called. summary.rows: list of { name, type, label, depth, output, parameters, trainable, macs, calls,
-- same }; summary.parameters, trainable, frozen (numbers), macs, input_bytes, parameter_bytes (with buffers), activation_bytes (what the
-- innermost modules gave). A model whose forward reads values (item) has no MACs.
local function summary(model, input, ...)
  options.none("summary", ...)
  if not ms.nn.is_module(model) then options.raise("summary: expected a module first, got %s", states.word(model)) end
  local args = read_input(input)
  local ok, seen = pcall(observe, model, args, true)
  local counted = ok
  if not ok then seen = observe(model, args, false) end -- raises what is wrong, if it was not the counting
  local s = { rows = {}, parameters = 0, trainable = 0, parameter_bytes = 0, activation_bytes = 0, input_bytes = bytes_of { n = #args,
    table.unpack(args) } }
  local met = {}
  local function add(m, name, label, depth)
    local e, f = seen[m], fields(m)
    local row = { name = name, type = m.__name, depth = depth, calls = e.calls, output = e.shape or "not called",
      macs = counted and e.flops / 2 or nil,
      label = label .. (m.extra and m:extra() ~= "" and ("%s(%s)"):format(m.__name, m:extra()) or m.__name) }
    s.rows[#s.rows + 1] = row
    if met[m] then
      row.same, row.parameters, row.trainable, row.macs = met[m], 0, 0, counted and 0 or nil
      return
    end
    met[m] = name == "" and "the whole" or name
    local all, trainable, inner = s.parameters, s.trainable, false
    for _, key in ipairs(f._names) do
      local kind, t = f._kind[key], rawget(f, key)
      if (kind == "parameter" or kind == "buffer") and not met[t] then
        met[t], s.parameter_bytes = true, s.parameter_bytes + t:nbytes()
        if kind == "parameter" then
          s.parameters = s.parameters + t:numel()
          s.trainable = s.trainable + (t.requires_grad and t:numel() or 0)
        end
      end
    end
    for _, key in ipairs(f._names) do
      if f._kind[key] == "module" then
        inner = true
        add(rawget(f, key), name == "" and tostring(key) or name .. "." .. key, tostring(key) .. ": ", depth + 1)
      end
    end
    if not inner then s.activation_bytes = s.activation_bytes + e.bytes end
    row.parameters, row.trainable = s.parameters - all, s.trainable - trainable
  end
  add(model, "", "", 0)
  s.frozen, s.macs = s.parameters - s.trainable, s.rows[1].macs
  return setmetatable(s, Summary)
end

return summary
