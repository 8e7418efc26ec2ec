-- bodies.lua: the pieces of work that sweep.lua disturbs. run(folder) gives a text that tells right from wrong; it starts from the seed, so
-- that it repeats itself. before: put a file there that run replaces; check: raise when that file is damaged.
local ms = require "mascon"
local nn, optim, ml = ms.nn, ms.optim, ms.ml

local function digest(...)
  local text = {}
  for i, t in ipairs { ... } do text[i] = type(t) == "userdata" and ("%.6g"):format(t:detach():double():sum():item()) or tostring(t) end
  return table.concat(text, " ")
end

local function net()
  ms.seed(1)
  local model = nn.sequential { nn.conv2d(1, 2, 3), nn.relu(), nn.flatten(), nn.linear(2 * 4 * 4, 3) }
  return model, optim.adam(model:parameters(), { lr = 0.01 })
end

local function batch() return ms.randn { 4, 1, 6, 6 }, ms.randint(1, 3, { 4 }) end

local function read_all(path)
  local f = assert(io.open(path, "rb"))
  local s = f:read "a"
  f:close()
  return s
end

local function kept(name, make)
  local path = function(folder) return folder .. "/" .. name end
  local old, new
  return function(folder)
    make(path(folder))
    new = new or read_all(path(folder))
    return digest(#read_all(path(folder)))
  end, function(folder) -- before
    if not old then
      old = true
      make(path(folder))
      new = read_all(path(folder))
    end
    local f = assert(io.open(path(folder), "wb"))
    f:write(new)
    f:close()
  end, function(folder)
    if read_all(path(folder)) ~= new then error(name .. " is damaged") end
  end
end

local bodies = {}
local function add(name, run, before, check) bodies[#bodies + 1] = { name = name, run = run, before = before, check = check } end

add("eager-training", function()
  local model, adam = net()
  local last
  for _ = 1, 2 do
    local x, y = batch()
    last = nn.cross_entropy(model(x), y)
    adam:zero_grad()
    last:backward()
    adam:step()
  end
  return digest(last, model:parameters()[1])
end)

add("compiled-training", function()
  local model, adam = net()
  local step = ms.compile(function(x, y)
    local loss = nn.cross_entropy(model(x), y)
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end)
  local last
  for _ = 1, 5 do last = step(batch()) end
  return digest(last, model:parameters()[1])
end)

-- Optimizers made of operations, in groups, with a schedule, clipped gradients and an average; their states there and back.
add("optimizers", function()
  ms.seed(1)
  local model = nn.sequential { nn.linear(3, 4), nn.tanh(), nn.linear(4, 2) }
  local p = model:parameters()
  local o = optim.nadam({ { params = { p[1], p[2] } }, { params = { p[3], p[4] }, lr = 0.05 } }, { lr = 0.01, weight_decay = 0.1 })
  local s, average = optim.lr_scheduler.exponential_lr(o, 0.5), optim.ema(model, { decay = 0.5 })
  local step = ms.compile(function(x)
    local loss = model(x):square():mean()
    o:zero_grad()
    loss:backward()
    optim.clip_grad_norm_(o.parameters, 0.5)
    o:step()
    average:update()
    return loss
  end)
  local last
  for k = 1, 5 do
    last = step(ms.full({ 2, 3 }, k))
    s:step()
  end
  local other = optim.nadam({ { params = { p[1], p[2] } }, { params = { p[3], p[4] } } })
  other:load_state_dict(o:state_dict())
  s:load_state_dict(s:state_dict())
  return digest(last, p[1], average.module:parameters()[1], other:state_dict()["exp_avg.3"], other.groups[2].lr)
end)

add("lbfgs", function()
  local a = ms.tensor({ 3, -2 }, { requires_grad = true })
  local o = optim.lbfgs({ a }, { line_search_fn = "strong_wolfe", max_iter = 4 })
  for _ = 1, 2 do
    o:step(function()
      o:zero_grad()
      local loss = ((a - 1) ^ 4):sum()
      loss:backward()
      return loss
    end)
  end
  o:load_state_dict(o:state_dict())
  return digest(a, o:state_dict().d)
end)

add("double-backward", function()
  ms.seed(2)
  local x = ms.randn({ 3, 4 }, { requires_grad = true })
  local g = ms.grad((x:tanh() * x):sum(), x)
  return digest(ms.grad(g:square():sum(), x))
end)

add("losses", function()
  ms.seed(3)
  local x, y, t = ms.randn({ 4, 3 }):requires_grad_(), ms.randint(1, 3, { 4 }), ms.rand { 4, 3 }
  local loss = nn.cross_entropy(x, y, { label_smoothing = 0.1, ignore_index = 2, weight = t[1] })
    + nn.ssim_loss(x:reshape { 1, 4, 3 }, t:reshape { 1, 4, 3 }, { window_size = 3 })
  return digest(loss, ms.grad(loss, x))
end)

add("margins", function()
  ms.seed(3)
  local x, y = ms.randn({ 4, 3 }):requires_grad_(), ms.randint(0, 3, { 4, 3 })
  local loss = nn.multilabel_margin(x, y) + nn.bce(x:sigmoid(), y:gt(1):float(), { weight = x })
  return digest(loss, ms.grad(loss, x))
end)

add("slices", function()
  ms.seed(2)
  local x = ms.randn({ 6, 4 }, { requires_grad = true })
  local sum = x[3]:sum() + (x[{ { 2, 4 } }] * x[{ { 3, 5 } }]):sum()
  local g = ms.grad(sum, x)
  return digest(g, ms.grad(g:square():sum(), x))
end)

add("custom", function()
  local cube = ms.custom_function {
    forward = function(ctx, x)
      local y = x ^ 3
      ctx:save_for_backward(x, y)
      return y
    end,
    backward = function(ctx, g)
      local x, y = table.unpack(ctx.saved_tensors)
      return ms.enable_grad(function() return g * y * 3 / x + ms.grad((x * 0):sum(), x) end)
    end,
  }
  local x = ms.tensor({ 1, 2 }, { requires_grad = true })
  local g = ms.grad(cube(x * 2):sum(), x)
  return digest(g, ms.grad(g:sum(), x), ms.jacobian(cube, x))
end)

add("recompute", function()
  ms.seed(6)
  local x = ms.tensor({ 1, 2 }, { requires_grad = true })
  local function inner(v) return (v * ms.rand { 2 }):sin():exp() end
  local y = ms.recompute(function(v) return ms.recompute(inner, v:tanh()):exp() end, x):sum()
  local g = ms.grad(y, x)
  y:backward()
  return digest(y, g, x.grad, ms.grad_enabled())
end)

add("detect-nan", function()
  local w = ms.ones({ 3 }, { requires_grad = true })
  local step = ms.compile(function(x)
    w.grad = nil
    local loss = (w * x):sqrt():sum()
    loss:backward()
    ms.no_grad(function() w:sub_(w.grad * 0.1) end)
    return loss
  end)
  local on <close> = ms.detect_nan(true) -- luacheck: ignore on
  for i = 1, 4 do step(ms.full({ 3 }, i)) end
  local before = w:sum():item()
  local ok, message = pcall(step, ms.zeros { 3 })
  if ok or not message:find "detect_nan: div" then error(message) end
  return digest(("%.6f %.6f"):format(before, w:sum():item()), message:match "detect_nan: [^;]*")
end)

add("modes", function()
  local x = ms.ones({ 2 }, { requires_grad = true })
  local a = ms.no_grad(function() return (x * 2):sum() end)
  local b
  do
    local guard <close> = ms.no_grad() -- luacheck: ignore guard
    b = x * 3
  end
  local s <close> = ms.scope()
  local c = s:keep(x + 1)
  return digest(a, b, c, a.requires_grad)
end)

add("tables", function()
  local x = ms.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  local list = x:totable()
  x[{ 1, {} }] = 9
  return digest(x, #list, tostring(x), tostring(x.shape), x[x:gt(5):select(2, 1)], ms.cat({ x, x }, 1), x:sort(2))
end)

local save, before_save, check_save = kept("model.safetensors", function(path)
  local model = net()
  ms.save(path, model:state_dict(), { note = "x" })
end)
add("save", save, before_save, check_save)

local save_all, before_all, check_all = kept("all.safetensors", function(path)
  local model, adam = net()
  ms.checkpoint.save(path, { model = model, optimizer = adam, epoch = 3, best = 1 / 3, notes = { "a", "b" } })
end)
add("checkpoint", save_all, before_all, check_all)

add("checkpoint-load", function(folder)
  local path = folder .. "/load.safetensors"
  local model, adam = net()
  if not io.open(path) then ms.checkpoint.save(path, { model = model, optimizer = adam, epoch = 3 }) end
  local rest = ms.checkpoint.load(path, { model = model, optimizer = adam })
  return digest(rest.epoch, model:parameters()[1], model:parameters()[4])
end)

add("modules", function()
  ms.seed(6)
  local m = nn.sequential { nn.spectral_norm(nn.linear(4, 6)), nn.layer_norm(6), nn.weight_norm(nn.linear(6, 6)), nn.unflatten(2, { 3, 2 }),
    nn.instance_norm1d(3, { affine = true, track = true }), nn.group_norm(3, 3), nn.batch_norm1d(3, { momentum = false }) }
  local x = ms.randn { 5, 4 }
  m[2]:register_forward_hook(function(_, _, y) return y * 2 end)
  m[3]:register_full_backward_hook(function(_, dx) return dx[1] * 2 end)
  local c = m:clone()
  local step = ms.compile(function(v)
    local y = c(v):sum()
    y:backward()
    return y
  end)
  m(x):square():sum():backward()
  for _ = 1, 4 do step(x) end
  c:append(nn.dropout(0.5)):eval()
  step(x)
  return digest(m[1].bias.grad, m[7].running_mean, c(x), c[5].running_var)
end)

local image, before_image, check_image = kept("x.png", function(path) ms.seed(3) ms.image.save(path, ms.rand { 3, 8, 8 }) end)
add("image", image, before_image, check_image)
add("image-load", function(folder)
  local path = folder .. "/y.png"
  ms.seed(3)
  if not io.open(path) then ms.image.save(path, ms.rand { 3, 8, 8 }) end
  return digest(ms.image.load(path))
end)

add("safetensors", function()
  local state = ms.load "tests/data/safetensors/dtypes.safetensors"
  local some = ms.load("tests/data/safetensors/net.safetensors", { names = { "head.bias", "head.weight" } })
  return digest(state.uint16, state.int8, state.complex64, some["head.bias"])
end)

add("idx", function(folder)
  local path = folder .. "/x.gz"
  ms.data.write_idx(path, ms.tensor({ { 1, 2 }, { 3, 4 } }, { dtype = "u8" }))
  return digest(ms.data.read_idx(path))
end)

add("numpy", function(folder)
  local path = folder .. "/x.npz"
  ms.data.write_npz(path, { x = ms.tensor { 1, 2 }, y = ms.tensor({ 3 }, { dtype = "i64" }) }, { compress = true })
  ms.save(folder .. "/x.npy", ms.tensor { 7, 8 })
  return digest(ms.load(path).x, ms.load(folder .. "/x.npy"), ms.load(folder .. "/x.npy", { mmap = true }),
    ms.load("tests/data/formats/odd.npz", { names = "fine" }).fine)
end)

add("csv", function(folder)
  local path = folder .. "/x.csv.gz"
  ms.data.write_csv(path, { { "a", ms.tensor { 1, 2 } }, { "b", { "x", "y" } } })
  local x, texts = ms.data.read_csv(path)
  return digest(x, texts.b[2], (ms.data.read_csv("tests/data/formats/quoted.csv", { columns = { 2 } })):isnan())
end)

add("folder", function(folder)
  local path = folder .. "/set"
  if not io.open(path .. "/a/1.png") then
    require("mascon.system").mkdir(path)
    require("mascon.system").mkdir(path .. "/a")
    ms.image.save(path .. "/a/1.png", ms.ones { 3, 8, 8 })
  end
  return digest(ms.data.folder(path, { size = 4 }).raw)
end)

add("data", function()
  ms.seed(4)
  local ds = ms.data.tensors { ms.rand { 12, 1, 2, 2 }, ms.randint(1, 3, { 12 }) }
  local sum = 0
  for x in ds:subset(1, 10):loader { batch = 4, shuffle = true } do sum = sum + x:sum():item() end
  return digest(("%.5f"):format(sum), (ds:map(function(x) return x:flatten(2) end)))
end)

add("classical", function()
  ms.seed(5)
  local x, y = ms.randn { 30, 3 }, ms.randint(1, 3, { 30 })
  local forest = ml.random_forest({ trees = 3, seed = 1 }):fit(x, y)
  local knn = ml.knn({ k = 3 }):fit(x, y)
  local pca = ml.pca({ components = 2 }):fit(x)
  return digest(forest:predict(x), knn:predict(x), pca:transform(x):abs())
end)

add("run-folder", function(folder)
  local out = folder .. "/run"
  local run = ms.run(out)
  run:epoch { epoch = 1, loss = 0.5 }
  run:summary { final = 1 / 3 }
  if run.close then run:close() end
  return digest(#read_all(out .. "/summary.json") > 10)
end)

return bodies
