-- lab_logger: an exercise of the laboratory: a logger of our own in place of TensorBoard. A logger is any object with methods of those
-- names; this one draws in the terminal: each curve as a line of blocks that grows, pictures in characters, the curves as plots at the
-- end. The same object serves ms.fit (logger =) and ms.run (tensorboard =), which never learn of the difference.
--
--   mascon scripts/lab_logger.lua [--epochs 8] [--quick] [--out runs/lab_logger] [--help]
local ms = require "mascon"
local nets = require "lab.nets"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({ epochs = 8, batch = 256, lr = 1e-3, seed = 1, out = "runs/lab_logger", images = 10000 }, {
  help = "An autoencoder, and a classifier on its codes, watched by a logger that draws in the terminal",
  describe = { images = "how many training images are used" }, range = { images = "[1, ]" },
})
if o.resume then error("--resume: it takes seconds, and nothing is kept to go on from; begin it anew", 0) end

-- ---- the logger ----------------------------------------------------------------------------------------------------------------------
local Screen = {}
Screen.__index = Screen
local BLOCKS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

-- title: what stands before its lines. There may be several at a time.
local function screen(title)
  return setmetatable({ title = title, tags = {}, curves = {}, lines = {} }, Screen)
end

-- The last 40 values as blocks between the least and the greatest of them.
local function blocks(values)
  local first = math.max(1, #values - 39)
  local low, high = math.min(table.unpack(values, first)), math.max(table.unpack(values, first))
  local out = {}
  for i = first, #values do
    local height = high > low and (values[i] - low) / (high - low) or 0.5
    out[#out + 1] = BLOCKS[1 + math.floor(7 * height + 0.5)]
  end
  return table.concat(out)
end

function Screen:say(fmt, ...)
  local line = ("%s | " .. fmt):format(self.title, ...)
  self.lines[#self.lines + 1] = line
  print(line)
end

function Screen:scalar(tag, value, step)
  local v = type(value) == "number" and value or value:item()
  local curve = self.curves[tag]
  if not curve then
    curve = { x = {}, y = {} }
    self.curves[tag], self.tags[#self.tags + 1] = curve, tag
  end
  curve.x[#curve.x + 1], curve.y[#curve.y + 1] = step, v
  self:say("%-14s %10.4f  %s  step %d", tag, v, blocks(curve.y), step)
end

function Screen:image(tag, x, step)
  self:say("%s, step %d:", tag, step)
  plot.tiles { x:dim() == 3 and x:unsqueeze(1) or x }
end

function Screen:histogram(tag, x, step)
  self:say("%s, step %d: least %.3f, mean %.3f, greatest %.3f", tag, step, x:min():item(), x:mean():item(), x:max():item())
end

function Screen:text(tag, words, step) self:say("%s, step %d: %s", tag, step or 0, words) end

function Screen:hparams(options, figures)
  local words = {}
  for name, v in pairs(figures) do words[#words + 1] = ("%s = %.4f"):format(name, v) end
  table.sort(words)
  self:say("with learning rate %g: %s", options.lr, table.concat(words, ", "))
end

function Screen:flush() io.stdout:flush() end -- luacheck: no self

function Screen:close()
  for _, tag in ipairs(self.tags) do
    local curve = self.curves[tag]
    if #curve.y > 1 and tag ~= "seconds" then plot.lines { curve, title = self.title .. ": " .. tag } end
  end
end

-- ---- data ----------------------------------------------------------------------------------------------------------------------------
local limit = o.quick and { 1000, 500 } or { o.images, 2000 }
local train, test = ms.data.mnist { data = o.data, device = o.device, normalize = nets.normalize, limit = limit }
if o.quick then o.epochs = math.min(o.epochs, 2) end
ms.seed(o.seed)

-- ---- ms.fit takes it as logger -------------------------------------------------------------------------------------------------------
local net = nets.fc():to(train.device)
local watch = screen "autoencoder"
ms.fit(net, {
  train = train, validation = test, batch = o.batch, epochs = o.epochs, target = "input", loss = nn.mse, verbose = false, logger = watch,
  optimizer = optim.adam(net:parameters(), { lr = o.lr }),
  on_fit_end = function(model, fit)
    local x = test:images(1, 2)
    local both = ms.cat { x, ms.no_grad(model, x) } * nets.normalize.std + nets.normalize.mean
    fit.logger:image("two digits, and as restored", both:clamp(0, 1), fit.global_step)
  end,
})
watch:close()

-- ---- ms.run takes it in TensorBoard's place --------------------------------------------------------------------------------------------
-- A function of the folder gives the writer; run:epoch and run:summary call it as they would call TensorBoard's.
local run = ms.run(o.out, { options = o, tensorboard = function() return screen "classifier" end })
local codes, labels = train:map(net[1])
local test_codes, test_labels = test:map(net[1])
local head = nn.linear(codes:size(2), 10)
local adam = optim.adam(head:parameters(), { lr = 10 * o.lr })
local step = ms.compile(function(x, y)
  local loss = nn.cross_entropy(head(x), y)
  adam:zero_grad()
  loss:backward()
  adam:step()
  return loss
end)
local set = ms.data.tensors { codes, labels }
local accuracy
for epoch = 1, o.epochs do
  local mean = ms.meter.mean()
  for x, y in set:loader { batch = o.batch, shuffle = true } do mean:add(step(x, y), #x) end
  accuracy = ml.accuracy(ms.no_grad(head, test_codes):argmax(2), test_labels)
  run:epoch { epoch = epoch, loss = mean, accuracy = accuracy }
  run:board():histogram("weights", head.weight, epoch)
end
run:save("classifier", { model = head, encoder = net[1], optimizer = adam, epoch = o.epochs })
local f = assert(io.open(run:path "log.txt", "w")) -- what it has said of the autoencoder, to read again
f:write(table.concat(watch.lines, "\n"), "\n")
f:close()
run:summary { device = train.device, accuracy = accuracy, loss = run:column("loss")[#run:column "loss"], logged_lines = #watch.lines }
run:close() -- closes the writer: it draws its curves
print(("metrics and the checkpoint are in %s"):format(o.out))
