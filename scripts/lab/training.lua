-- training: how the exercises of the laboratory train their nets: one after another, by a compiled step, into one run's folder. Each net is
-- saved after every epoch; with --resume a run goes on where it was cut off and ends with the same bits.
--
--   local lab = training.open(o, { nets = { "scratch", "tuned" }, same = { training_images = #train }, may_change = { "draws" } })
--   local net = lab:train("tuned", { make = make, data = train, loss = function(net, x, y) return nn.cross_entropy(net(x), y) end })
--   plot.lines { ..., file = lab.run:path "accuracy.png" }
--   lab:finish { accuracy = accuracy }
local ms = require "mascon"
local training = {}

local Lab = {}
Lab.__index = Lab

-- Share of a set's images whose class the net tells right.
function training.accuracy(net, set)
  local scores, labels = set:map(net)
  return ms.ml.accuracy(scores:argmax(2), labels)
end

-- Open the folder --out. how.nets: names of all nets in their order, which their seeds and the lines of metrics.jsonl follow; how.same,
-- how.may_change, how.tensorboard (true unless given): as for ms.run.
function training.open(o, how)
  local self = setmetatable({ options = o, place = {}, done = 0 }, Lab) -- done: epochs of all nets together
  self.run = ms.run(o.out, { options = o, resume = o.resume, same = how.same, may_change = how.may_change,
    tensorboard = how.tensorboard == nil or how.tensorboard })
  for i, name in ipairs(how.nets) do
    self.place[name] = i
    local at = o.resume and self.run:peek(name)
    self.done = self.done + (at and at.epoch or 0)
  end
  if o.resume then
    self.run:rewind(self.done)
    print(("going on after %d epochs in %s"):format(self.done, o.out))
  end
  return self
end

-- Net `name`, trained, and its trace: lists of the loss and of each figure by epoch. spec: make() -> the net; data: a set, with the
-- transform of its batches; loss(net, x, y) -> what is minimised [, what is reported]; figures(net, epoch) -> numbers by name, after each
-- epoch, in evaluation mode (nil: none in this one; the lists are of those epochs that have some); epochs, batch, lr: those of the options
-- unless given; optimizer: optim.adam unless given. The learning rate rises over the first epoch and falls along a cosine to nothing.
function Lab:train(name, spec)
  local run, o, place = self.run, self.options, assert(self.place[name], name)
  ms.seed(o.seed * 1000 + place)
  local data, epochs, lr = spec.data, spec.epochs or o.epochs, spec.lr or o.lr
  local batch = math.min(spec.batch or o.batch, #data)
  local net = spec.make():to(data.device)
  local optimizer = (spec.optimizer or ms.optim.adam)(net:parameters(), { lr = lr })
  local parts, at = { net = net, optimizer = optimizer }, o.resume and run:peek(name)
  if at and at.epoch > epochs then error(("--epochs %d: %s has had %d already"):format(epochs, name, at.epoch), 0) end

  local loss_of = spec.loss -- the step captures that alone
  local step = ms.compile(function(x, y)
    local loss, reported = loss_of(net, x, y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return reported or loss
  end)
  if not (at and at.epoch == epochs) then
    ms.rehearse(step, parts, { data:batch(1, batch) }) -- all steps are replays from the first on
  end
  at = at and run:load(name, parts)

  local epoch, trace = at and at.epoch or 0, at and at.trace or { loss = {} }
  local loader = data:loader { batch = batch, shuffle = true, drop_last = true }
  local i, total = epoch * #loader, epochs * #loader -- steps so far, and in all
  if epoch < epochs and run.make_board then run:board(name, at and i + 1 or nil) end
  while epoch < epochs do
    local mean = ms.meter.mean()
    epoch = epoch + 1
    for x, y in ms.progress(loader, { label = ("%s %d/%d"):format(name, epoch, epochs) }) do
      local scope <close> = ms.scope() -- luacheck: ignore scope
      optimizer.lr = lr * math.min(1, (i + 1) / #loader) * 0.5 * (1 + math.cos(math.pi * i / total))
      mean:add(step(x, y))
      i = i + 1
    end
    net:eval()
    local figures = spec.figures and spec.figures(net, epoch) or {}
    net:train()
    figures.loss = mean:value()
    local row, words = { net = name, net_epoch = epoch }, {}
    for key, v in pairs(figures) do
      trace[key] = trace[key] or {}
      row[key] = v
      table.insert(trace[key], v)
      words[#words + 1] = ("%s %.4f"):format(key, v)
    end
    table.sort(words)
    self.done = self.done + 1
    row.epoch = self.done
    run:epoch(row, name, i)
    run:save(name, { net = net, optimizer = optimizer, epoch = epoch, trace = trace }) -- last: what a kill cuts short is done again
    print(("%s: epoch %d  %s"):format(name, epoch, table.concat(words, "  ")))
  end
  net:eval()
  return net, trace
end

-- The figures of the run into summary.json; those in `names`, as far as there are any, are printed in their order, of a list the last.
function Lab:finish(summary, names)
  self.run:summary(summary)
  for _, name in ipairs(names) do
    local v = summary[name]
    if type(v) == "table" then v = v[#v] end
    if v then print(("%-24s %.4f"):format(name, v)) end
  end
  self.run:close()
  print(("figures, metrics and checkpoints are in %s"):format(self.options.out))
end

return training
