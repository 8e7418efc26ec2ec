-- help: ms.help(name) and ?name at the prompt. Operations explain themselves by their rows; functions of the Lua part by the comment above
-- them in their source; settings of the runtime by the comments at the end of this file.
local ms = require "mascon"
local text = require "mascon.text"

local kinds = {
  [0] = "tensor", "tensor (floating)", "tensor or number", "list of tensors", "tensor, changed in place", "positions (integers from 1)",
  "labels (integers from 1)", "integer", "size", "dimension", "dimension or list of them", "position", "list of sizes",
  "integer or list of them", "boolean", "number", "dtype", "word", "number or list of them",
}

local rows
local function row(name)
  if not rows then
    rows = {}
    for _, r in ipairs(ms.ops()) do
      rows[r.name] = not r.private and r or nil
      for _, alias in ipairs(r.aliases) do rows[alias] = r end
    end
  end
  return rows[name]
end

-- "x:tensor dim:dim=-1 ..." as lines, one per argument.
local function arguments(r)
  local signature = r.signature:gsub("%b()", function(words) return (words:gsub("|", "/")) end) -- the other | begins defaults of operands
  local lines, plain = {}, signature:gsub("|.*", "")
  local defaults = {}
  for k, v in (signature:match("|(.*)") or ""):gmatch("(%a):?[%a_]*=(%S+)") do defaults[k] = v end
  local i = 0
  for item in plain:gmatch("%S+") do
    i = i + 1
    local arg = r.args[i]
    local default = item:match("=(.*)$") or r.elementwise and defaults[item:sub(1, 1)]
    local words = item:match("enum%((.-)%)")
    lines[i] = ("  %-14s %s%s"):format(arg.name, words and words:gsub("/", " | ") or kinds[arg.kind] or "?",
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
  if #r.aliases > 0 then out[#out + 1] = "  also called " .. table.concat(r.aliases, ", ") end
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

-- The comment that begins with "-- NAME(", "-- NAME {" or "-- NAME: ", or "-- for x in NAME(", in the library's source, up to the end of
-- its block; with `part`, in the modules of that part only.
local function of_source(name, part)
  local word = name:gsub("%p", "%%%0")
  local start, loop = "^%s*%-%- " .. word, "^%s*%-%- for [%w_, ]+ in " .. word .. "%("
  for _, module in ipairs(ms.source()) do
    local out, inside
    local text_of = (not part or ("." .. module .. "."):find("." .. part .. ".", 1, true)) and ms.source(module) .. "\n" or ""
    for line in text_of:gmatch("(.-)\n") do
      local comment = line:match("^%s*%-%-%s?(.*)$")
      if out and not comment then return table.concat(out, "\n") end
      if out then
        out[#out + 1] = comment
      elseif comment and not inside and (line:find(start .. "%s*[%(%[{]") or line:find(start .. ":%s") or line:find(start .. "$")
        or line:find(loop)) then
        out = { comment }
      end
      inside = comment
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

-- ms.help(name) -> text: an operation ("softmax"), a function ("nn.linear"), "operations" for all of their names, or nothing for an
-- overview.
return function(name)
  local list = {}
  for _, r in ipairs(ms.ops()) do list[#list + 1] = not r.private and r.name or nil end
  table.sort(list)
  if name == "operations" then return table.concat(list, " ") end
  if name == nil or name == "" then
    return ("operations: %d, such as matmul conv2d softmax; ms.help(\"operations\") or ?operations lists them"):format(#list)
      .. "\nparts: ms.nn ms.optim ms.ml ms.data ms.transforms ms.plot ms.image ms.args ms.run ms.tensorboard ms.checkpoint ms.progress"
      .. " ms.meter ms.fit ms.sweep ms.summary"
      .. "\nmore: ms.tensor ms.zeros ms.ones ms.grad ms.no_grad ms.scope ms.compile ms.seed ms.save ms.load ms.threads ms.precision; "
      .. "x:backward x:item x:totable x:to x:detach"
      .. '\nms.help("softmax") or ?softmax explains one'
  end
  if type(name) ~= "string" then error("help: expected a name, as ms.help(\"softmax\")", 2) end
  name = name:gsub("^ms[%.:]", ""):gsub("^x:", "")
  local r = row(name:match("[%w_]+$")) or row((name:match("[%w_]+$") or ""):gsub("_$", ""))
  if r and not name:find("%.") then return of_row(r) end
  local t = of_source("ms." .. name) or of_source(name)
  for _, object in ipairs { "x:", "m:", "o:", "ds:", "loader:" } do t = t or of_source(object .. name) end
  if t then return t end
  local v = resolve(name)
  local part, last = name:match "^([%w_]+)[%.:]([%w_]+)$"
  if v ~= nil and part then -- data.read_csv is read_csv in the part's own sources; transforms.pad is not the operation pad
    t = of_source(last, part)
    if t then return t end
  end
  if r and (v == nil or v == ms[r.name] or type(v) ~= "function") then return of_row(r) end
  for _, q in ipairs(type(v) == "function" and ms.ops() or {}) do -- nn.huber is ms.huber_loss
    if not q.private and ms[q.name] == v then return of_row(q) end
  end
  if v ~= nil then return ("ms.%s is a %s"):format(name, type(v)) end
  return ("nothing is known of '%s'%s"):format(name, text.hint(name, list))
end

-- ms.compile(f) -> step, which is called as f is
-- Records what f does with tensors (forward, backward, optimizer) and replays it: the first call runs f, the second records, the third
-- records and compares, from the fourth on f's Lua does not run, so that what changes from call to call must be handed in (numbers and
-- tensors may be) or be an optimizer's lr. Other sizes, dtypes, train or eval mode, fields of modules, variables that f and what
-- it calls captured (not fields of plain tables, nor globals), and numbers that f looks at (compares, counts with) by value: a recording of
-- its own. MASCON_COMPILE=check runs f
-- as well, every time, and compares; =off only f. step:report() -> what was recorded; step:profile(n, ...) -> where the time of n replays
-- with these arguments goes (they train, if the step does).

-- ms.recompute(f, ...) -> what f(...) gives
-- Memory for time (PyTorch's checkpoint): what f computes on the way is not kept for the backward pass, which calls f again when it
-- wants those values, with random numbers drawn as before. Gradients are the same, of any order, in f's arguments and in the parameters it
-- captured; it may return several values, call ms.recompute itself, and be part of a compiled step, which then plans less memory. f must
-- do the same both times, and not differentiate its own values inside. What it changes in place (running statistics) changes both times.

-- ms.detect_nan() -> is it on?; ms.detect_nan(true or false) sets it; ms.detect_nan(f, ...) -> what f(...) gives, with it on
-- An operation that gives NaN or infinity is then an error that names it, the element, what an elementwise one was given there, and the
-- script's line; in a backward pass both that line and the one that made the result. NaN counts unless the script wrote it (a number
-- argument is NaN; a tensor is only copied or made of numbers); infinity counts where nothing that the operation was given is infinite: a
-- mask of -inf, and softmax over it, are fine. Also: local d <close> = ms.detect_nan(true), until the end of the block.
-- A compiled step is replayed all the same. Each replay then costs a copy of what the step writes in place, other memory for gradients, and
-- one question about what it wrote and gives. If NaN or infinity is there, all is put back and the step runs once as it is, which finds the
-- operation; afterwards all is as before the call. What never leaves the step is not seen. A step that leaves infinity on purpose runs
-- twice once, and is asked about NaN only from then on.

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

-- ---- what C gives ----------------------------------------------------------------------------------------------------------------

-- ms.tensor(values [, { dtype =, device =, requires_grad = }]) -> tensor
-- From nested lists of numbers (f32 unless told, whole numbers too: labels and positions want { dtype = "i64" }; booleans give bool), or
-- a copy of a tensor.

-- ms.zeros(shape [, { dtype =, device =, requires_grad = }]), as ms.zeros{2, 3}; ms.ones, and x:zeros_like(), likewise

-- ms.ones(shape [, { dtype =, device =, requires_grad = }]), as ms.ones{2, 3}

-- ms.grad(y, x [, { gradient =, allow_unused = }]) -> dy/dx
-- y has one element, or gradient (PyTorch's grad_outputs) says what its elements weigh. For a list of x, a list (false where unused); for a
-- list of y (and of gradients) the sum. The results are ordinary tensors, which can be differentiated again: retain_graph and create_graph
-- are as if they were set.

-- ms.no_grad(f, ...) -> what f(...) gives, computed without a graph
-- Or, until the end of a block: local guard <close> = ms.no_grad(). Without `local ... <close>` it stays so.

-- ms.enable_grad(f, ...): as ms.no_grad, the other way

-- ms.scope() -> scope: local s <close> = ms.scope() at the top of a block
-- Tensors made until the block ends are freed at its end, unless s:keep(x) was said.

-- ms.seed(n): starts the default generator anew, from the whole number n, and Lua's own (math.random) as well

-- ms.save(path, tensors [, metadata]): a safetensors file, written whole or not at all; NumPy's npz or npy where the name ends so
-- tensors by name, as model:state_dict() gives them, or a list of { name, tensor } (npy: one tensor); metadata: texts by name.

-- ms.load(path [, { device =, max_bytes =, names =, mmap = }]): whatever the file is, by its content and not by its name
-- safetensors, npz -> tensors by name, metadata, list of the names in the file's order. npy, IDX, PNG, JPEG (u8, channels x height x width)
-- -> one tensor. CSV -> as ms.data.read_csv. model:load_state_dict((ms.load(path))) takes the first value, by the parentheses. names: a
-- name or a list, only these are read. mmap = true: the tensors are the file itself, looked at when they are needed, so that it may be
-- larger than memory; changed in place they become copies, and the file stays. Dtypes that there are not: I8, I16, U16 become i32; U32,
-- U64 i64; floats of 4 and 8 bits f32; complex numbers of 64 bits pairs of f32.

-- ms.run(folder, { options = o, resume = o.resume }) -> run: the folder a script leaves behind
-- run:path(name), run:save(name, { model = m, ... }), run:load(name, { ... }), run:peek(name), run:rewind(epochs),
-- run:epoch { epoch = ... }, run:summary { ... }, run:close(). ?log shows a script with them; scripts/mnist_autoencoder.lua is one.

-- ms.tensorboard(folder [, { resume = step }]) -> board: a TensorBoard event file in the folder
-- board:scalar(tag, value, step), board:image(tag, x, step), board:histogram(tag, x, step), board:text(tag, text, step), board:flush(),
-- board:close(). resume: events from that step on, by earlier runs in the folder, are void.

-- x:backward([{ gradient =, inputs =, retain = }]): adds to p.grad the derivative of x by each parameter p
-- inputs: a parameter or a list of them, which alone get it (a generator's, where the critic's are not wanted): what only the others need
-- is not computed; gradient: what the elements of x weigh, where it has several; retain: it may be called again

-- x:index_put(index, values [, { accumulate = }]) -> x with x[index] = values; x:index_put_ changes x itself
-- index: whatever x[index] takes. accumulate: values are added, each time that a place is named.

-- x:item() -> the number or boolean that a tensor of one element holds

-- x:totable() -> nested lists, or a number for a scalar

-- x:to(dtype or device): x:to "f64", x:to "cuda", x:to { dtype =, device = }; x itself where nothing changes

-- x:detach() -> the same values without the graph

-- x:size() -> list of the sizes; x:size(dim) -> one; x.shape prints and compares

-- ms.memory() -> { live =, peak =, cached =, allocated =, ... } in bytes, of all devices, ms.memory(name) of one; ms.memory "reset" starts
-- the peaks anew, ms.memory "release" empties the caches of freed blocks

-- ms.synchronize(name): wait until the device (without a name: each in use) has done what it was asked; raises what went wrong meanwhile

-- ms.device(name) -> its full name and what it is; raises why there is no such device

-- ms.image.load(path [, { channels =, max_bytes = }]) -> u8 tensor C x H x W of a PNG or JPEG file; channels 1..4 converts
-- It may take 8 times the file and 64 MB of memory, or max_bytes in all.

-- ms.image.save(path, picture or pictures [, options of ms.image.grid]): a PNG file, written whole or not at all
-- One picture is H x W or C x H x W with C 1..4, u8 or numbers from 0 to 1; anything else becomes a grid.

-- ms.image.grid(pictures [, { columns =, padding = 2, scale = 1, background = 0, range = }]) -> u8 tensor C x H x W
-- pictures: N x C x H x W or N x H x W, C 1 or 3; or a list of pictures or batches. range: { lo, hi } become black and white, "auto": the
-- least and the greatest number.

-- ms.image.above(list [, { padding = 0, background = 1 }]) -> u8 tensor C x H x W: pictures of any sizes one above the other

-- ms.image.beside(list [, { padding = 0, background = 1 }]) -> u8 tensor C x H x W: pictures of any sizes from left to right

-- ms.data.fashion_mnist([options]) -> training set, test set: as ms.data.mnist, which see
