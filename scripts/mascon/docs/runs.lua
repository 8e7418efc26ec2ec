-- What ?NAME says of loops and of what they leave behind: ms.fit, ms.run, checkpoints, meters, options. The form is told in docs.lua.
-- `folder` in examples: a folder of the user's.
return [==[
ms.fit(model, { train =, validation =, epochs = 1, batch = 64, loss =, optimizer =, target =, metrics =, lr_scheduler =, monitor =,
    scheduler_interval = "epoch", gradient_clip_val =, gradient_clip_algorithm = "norm", accumulate_grad_batches = 1, early_stopping =,
    max_steps =, check_val_every_n_epoch = 1, logger =, log_every_n_steps = 50, compile = true, progress =, verbose = true, out =,
    resume = false, parts =, checkpoint_every_n_steps =, model_checkpoint = }) -> history
  The training loop, for those who want to write less. train, validation: a data set, a loader, a list of batches, or a function that gives
  an
  iterator for each epoch. loss: a function of output and label (target = "input": and input). metrics: more such functions, by name.
  optimizer: one, a list, a function of the parameters. lr_scheduler: a schedule, stepped each scheduler_interval. early_stopping:
  ms.early_stopping or its options. out: a folder with metrics.jsonl and checkpoints; resume = true goes on from it, to the same bits. Hooks
  are methods of the model's class or functions among the options, called with fit last (?fit:log): training_step, validation_step,
  configure_optimizers, on_fit_start, on_train_epoch_start, on_train_batch_end, on_train_epoch_end, on_validation_start, on_validation_end,
  on_fit_end.
  > local net = nn.linear(4, 2)
  > local set = data.tensors { ms.rand { 20, 4 }, ms.randint(1, 2, { 20 }) }
  > local history = ms.fit(net, { train = set, epochs = 2, batch = 10, loss = nn.cross_entropy,
  >   optimizer = optim.sgd(net:parameters(), { lr = 0.1 }), verbose = false, progress = false })
  > #history
ms.validate(model, { validation =, loss =, metrics =, logger =, progress =, verbose = }) -> results, name -> number
  One pass over the data in evaluation mode, without gradients; options and hooks (validation_step, on_validation_start, on_validation_end)
  as
  those of ms.fit. print(results) shows a table.
  > local set = data.tensors { ms.rand { 20, 4 }, ms.randint(1, 2, { 20 }) }
  > ms.validate(nn.linear(4, 2), { validation = set, loss = nn.cross_entropy, progress = false }).val_loss
fit: the training under way, which hooks get last: fit.epoch, fit.global_step, fit.metrics, fit.logger, fit.model
  ~ function Net:on_train_epoch_end(fit) print(fit.epoch, fit.metrics.loss) end
fit:log(name, value [, { on_epoch = true, on_step = false, batch_size = }]): a figure of this step, or, outside steps, of this epoch
  ~ fit:log("grad_norm", norm, { on_step = true })
fit:gather(name, tensor): rows of this batch, one for each sample, to be joined
  ~ fit:gather("scores", out:softmax(2))
fit:gathered(name) -> the rows that were gathered in this pass over the data, joined, on the CPU
  ~ fit:log("auroc", ml.auroc(fit:gathered "scores", fit:gathered "labels"))
fit:stop(): the epoch under way is the last one
  ~ if fit.metrics.loss < 0.1 then fit:stop() end
history: what ms.fit gives: a list of rows by epoch; print(history) shows a table
  ~ history[#history].loss
history:column(name) -> list of a figure, one number for each epoch that has it
  ~ history:column "val_accuracy"
history:add(row): one more row
  ~ history:add { epoch = 3, loss = 0.2 }
ms.early_stopping { patience = 3, min_delta = 0, mode = "min", monitor =, check_finite = true } -> stop
  stop:update(figure [, epoch]) is true when the figure was not better than the best by more than min_delta for `patience` updates one after
  another, or is NaN or infinite. Fields: stop.best, best_epoch, wait, stopped, improved. monitor: the figure's name, for ms.fit.
  > local stop = ms.early_stopping { patience = 2 }
  > stop:update(1.0), stop:update(1.1), stop:update(1.2)
stop: ms.early_stopping: stop.best, stop.best_epoch, stop.wait, stop.stopped, stop.improved
  > ms.early_stopping().wait
stop:update(figure [, epoch]) -> true when it is time to stop
  > ms.early_stopping():update(0.5)
stop:reset(): begins anew
  > ms.early_stopping():reset()
stop:state_dict() -> where it stands, as tensors by name
  > ms.early_stopping():state_dict()
stop:load_state_dict(state) -> stop, which goes on from there
  > local stop = ms.early_stopping()
  > stop:load_state_dict(stop:state_dict())
ms.model_checkpoint(where [, { mode = "min", save_top_k = 1, filename = "best", monitor = }]) -> keep
  where: a folder, or ms.run's. keep:update(figure, what, epoch) saves `what` (as ms.checkpoint.save) when the figure is among the best.
  keep.best, keep.best_epoch, keep.best_path; keep:load(into) loads the best one.
  > local net = nn.linear(1, 1)
  > local keep = ms.model_checkpoint(folder)
  > keep:update(0.5, { model = net }, 1), keep.best
keep: ms.model_checkpoint: keep.best, keep.best_epoch, keep.best_path
  > ms.model_checkpoint(folder).best
keep:update(figure, what, epoch) -> was it saved?
  > ms.model_checkpoint(folder):update(0.5, { model = nn.linear(1, 1) }, 1)
keep:load(into) -> the fields of the best checkpoint
  > local net = nn.linear(1, 1)
  > local keep = ms.model_checkpoint(folder)
  > keep:update(0.5, { model = net }, 1); keep:load { model = net }
keep:state_dict() -> what was kept: figures and epochs, the best first
  > ms.model_checkpoint(folder):state_dict()
keep:load_state_dict(state) -> keep
  > local keep = ms.model_checkpoint(folder)
  > keep:load_state_dict(keep:state_dict())
checkpoint: ms.checkpoint, everything a run needs to go on, in one safetensors file
  > local net = nn.linear(2, 1)
  > local adam = optim.adam(net:parameters())
  > ms.checkpoint.save(folder .. "/c.safetensors", { model = net, adam = adam, epoch = 3 })
  > ms.checkpoint.load(folder .. "/c.safetensors", { model = net, adam = adam }).epoch
checkpoint.save(path, what)
  Parts are what has a state_dict (modules, optimizers, loaders, estimators); everything else (numbers, texts, booleans, tensors, tables of
  them) are fields. The states of the default generator and of math.random are saved with them. Written whole or not at all.
  > ms.checkpoint.save(folder .. "/d.safetensors", { model = nn.linear(2, 1), epoch = 3 })
checkpoint.load(path, into) -> the fields
  into: name -> what takes up the part of that name, or false for a part to leave out; all parts of the file must be named. Raises, and
  changes
  nothing, when the file is not there, cannot be read, is damaged, or does not fit.
  > ms.checkpoint.save(folder .. "/e.safetensors", { model = nn.linear(2, 1), epoch = 3 })
  > ms.checkpoint.load(folder .. "/e.safetensors", { model = nn.linear(2, 1) }).epoch
checkpoint.resume(path, into) -> the fields, as checkpoint.load; nil and a message when there is no such file
  > ms.checkpoint.resume("no such file", {})
checkpoint.peek(path) -> the fields, with nothing loaded into anything; nil and a message when there is no such file
  > ms.checkpoint.peek("no such file")
checkpoint.format: the number of the format that this version writes
  > ms.checkpoint.format
ms.run(folder [, { options =, resume = false, tensorboard = false, numbered = false,
    same = }]) -> run: the folder that a script leaves behind
  run.json, metrics.jsonl and metrics.csv, checkpoints, summary.json; one process at a time has it. options: the script's, from ms.args;
  numbered = true takes folder/run_1, run_2, ...; resume goes on, with the options the run was begun with. Methods: ?run
  > local run = ms.run(folder .. "/run_a")
  > run:epoch { epoch = 1, loss = 2.5 }
  > run:column "loss", run:close()
run: ms.run, the folder that a script leaves behind; run.dir is its path
  > ms.run(folder .. "/run_b"):close()
run:epoch(values [, part [, step]]) -> the line: appends one to metrics.jsonl and metrics.csv, and to TensorBoard's curves
  Means and tensors are read now; `seconds` (since the line before) and `time` are added. part: of which part of the run, whose curves lie
  beside the others.
  > local run = ms.run(folder .. "/run_c")
  > run:epoch { epoch = 1, loss = 2.5 }
run:save(name, what): a checkpoint of this run (ms.checkpoint.save)
  > ms.run(folder .. "/run_d"):save("model", { model = nn.linear(1, 1), epoch = 1 })
run:load(name, into) -> the fields of a checkpoint of this run (ms.checkpoint.load)
  > local run = ms.run(folder .. "/run_e")
  > run:save("model", { model = nn.linear(1, 1), epoch = 1 })
  > run:load("model", { model = nn.linear(1, 1) }).epoch
run:peek(name) -> what a checkpoint says besides its tensors; nil when this run has saved none
  > ms.run(folder .. "/run_f"):peek "model"
run:rewind(epoch): lines of later epochs are dropped
  > ms.run(folder .. "/run_g"):rewind(0)
run:done(names [, most]) -> how many epochs the nets have had that this run has saved under these names
  > ms.run(folder .. "/run_h"):done { "model" }
run:finite(name, value) -> the number; raises where it is NaN or infinite: the training has diverged
  > ms.run(folder .. "/run_i"):finite("loss", 0.5)
run:metrics() -> the lines of metrics.jsonl so far, as tables
  > #ms.run(folder .. "/run_j"):metrics()
run:column(name) -> list: one metric of all lines that have it, for a figure
  > ms.run(folder .. "/run_k"):column "loss"
run:append(name, values) -> the row: a line in name.jsonl, of what is no epoch (the trials of a search)
  > ms.run(folder .. "/run_l"):append("trials", { lr = 0.1, loss = 2 })
run:list(name) -> what run:append has put there, as tables
  > #ms.run(folder .. "/run_m"):list "trials"
run:summary(values) -> the row: writes summary.json, with seed, device, options, versions, command, commit and seconds
  > ms.run(folder .. "/run_n"):summary { loss = 0.5 }
run:board([part]) -> the run's TensorBoard writer (ms.run(folder, { tensorboard = true })); its methods: ?board
  > ms.run(folder .. "/run_o", { tensorboard = true }):board():scalar("loss", 0.5, 1)
run:live(name [, apply]) -> the option's value now: an option that may be changed from outside while the run goes on
  `mascon set FOLDER lr=1e-4` then changes it at the end of a step. apply: an optimizer, whose setting of that name is set, or
  f(value, before); o.name has the new value either way. Needs ms.run(folder, { options = o }).
  > local o = { lr = 0.1 }
  > local sgd = optim.sgd(nn.linear(1, 1):parameters(), { lr = o.lr })
  > ms.run(folder .. "/run_r", { options = o }):live("lr", sgd)
run:changed(row): notes what was changed while the script runs, a line of changes.jsonl
  > ms.run(folder .. "/run_s"):changed { what = "noise", to = 0.1 }
run:path(name) -> the path of a file in the folder
  > ms.run(folder .. "/run_p"):path "loss.png"
run:close(): ends the run; another process may have the folder
  > ms.run(folder .. "/run_q"):close()
ms.sweep { model =, copies =, seeds =, loss =, optimizer = optim.sgd, lr =, weight_decay =, momentum =, nesterov =, betas =, eps =,
    compile = true } -> sweep
  K copies of a model with their own seeds, learning rates and so on train in one compiled step, on the same batches. model: a function that
  makes one; a number counts for all copies, a list for each its own. s:step(x, y) gives K losses.
  > local s = ms.sweep { model = function() return nn.linear(4, 2) end, loss = nn.cross_entropy, seeds = { 1, 2 }, lr = { 0.1, 0.01 } }
  > s:step(ms.rand { 8, 4 }, ms.randint(1, 2, { 8 })).shape
sweep: ms.sweep: sweep(x) -> K x batch x outputs, in evaluation mode; #sweep is K; sweep.lr = { ... }
  > #ms.sweep { model = function() return nn.linear(4, 2) end, loss = nn.cross_entropy, copies = 3, lr = 0.1 }
sweep:step(x, y) -> tensor of K losses, those before the step
  ~ sweep:step(x, y)
sweep:losses(x, y) -> tensor of K losses, in evaluation mode, without gradients
  ~ sweep:losses(x, y)
sweep:accuracy(data) -> tensor of K shares of samples whose largest output is their label; data: a set or a loader
  ~ sweep:accuracy(test)
sweep:models() -> list of K ordinary models, with copies of the weights as they are now
  > #ms.sweep({ model = function() return nn.linear(4, 2) end, loss = nn.cross_entropy, copies = 3, lr = 0.1 }):models()
sweep:state_dict() -> everything needed to go on, as tensors by name
  ~ sweep:state_dict()
sweep:load_state_dict(state) -> sweep, which goes on from there
  ~ sweep:load_state_dict(state)
ms.summary(model, input) -> summary: print shows a row for each layer: output shape, parameters, multiply-adds, and megabytes
  input: a tensor, a list of tensors (arguments), or a list of sizes. Runs the model once, in evaluation mode, and changes nothing. Fields:
  rows, parameters, trainable, frozen, macs, input_bytes, parameter_bytes, activation_bytes.
  > ms.summary(nn.sequential { nn.linear(4, 8), nn.relu() }, { 2, 4 }).parameters
ms.progress(loader or list or n [, { label =, total =, shown = }]): for ... in ms.progress(loader) do: a bar on standard error
  for i in ms.progress(100) do; of a list its values; ms.progress(f, s, control) of an iterator. The bar
  shows itself on a terminal; elsewhere it writes a plain line every half minute.
  > for x in ms.progress({ 1, 2, 3 }, { label = "epoch 1" }) do end
bar: the bar of ms.progress; ms.progress.set and ms.progress.print are those of the bar that runs
  > local bar = ms.progress(3)
bar:set { loss = x, ... } -> bar: notes behind the count; numbers, means, tensors, functions, texts; false takes one away
  > ms.progress(3):set { loss = 0.5 }
bar:print(...): print without tearing the bar
  > ms.progress(3):print()
bar:finish(): ends the bar; the loop does it
  > ms.progress(3):finish()
bar:told() -> label, count, total or nil, seconds, notes: how far the loop is
  > ms.progress(3):told()
bar:pass(...): what the loop calls with the values of each turn
  ~ bar:pass(x, y)
meter: ms.meter, figures of things that come batch by batch; tensors stay unread until value() is asked
  meter:add, meter:value, meter:count, meter:reset, meter:state_dict.
  > local mean = ms.meter.mean()
  > mean:add(ms.tensor(2)); mean:add(4); mean:value()
meter.mean() -> meter: the mean of numbers or of tensors of one element
  > ms.meter.mean():add(2):add(4):value()
meter.min() -> meter: the smallest of all elements that were added
  > ms.meter.min():add(2):add(4):value()
meter.max() -> meter: the largest of all elements that were added
  > ms.meter.max():add(2):add(4):value()
meter.accuracy() -> meter: the share of labels that were told right; add(outputs N x classes or labels, labels)
  > ms.meter.accuracy():add(ms.eye(2), ms.tensor({ 1, 2 }, { dtype = "i64" })):value()
meter.confusion(classes) -> meter: how often what was taken for what; value() is classes x classes counts, rows predicted, columns true
  > ms.meter.confusion(2):add(ms.eye(2), ms.tensor({ 1, 2 }, { dtype = "i64" })):value()
meter:add(value [, weight]) -> the meter
  weight, of means: how many samples the value is the mean of.
  > ms.meter.mean():add(2, 10):add(4, 30):value()
meter:value() -> the figure so far; NaN when nothing was added
  > ms.meter.mean():add(3):value()
meter:count() -> how many were added
  > ms.meter.mean():add(3):count()
meter:accuracy() -> of a confusion matrix, the share on the diagonal
  > ms.meter.confusion(2):add(ms.eye(2), ms.tensor({ 1, 2 }, { dtype = "i64" })):accuracy()
meter:reset() -> the meter, empty
  > ms.meter.mean():add(3):reset():count()
meter:state_dict() -> tensors by name, for checkpoints in the middle of an epoch
  > ms.meter.mean():add(3):state_dict()
meter:load_state_dict(state) -> the meter, which goes on from there
  > ms.meter.mean():load_state_dict(ms.meter.mean():add(3):state_dict()):value()
args: ms.args(defaults [, { help =, describe =, order =, positional =, range =, name = }]) -> options: those of a script's command line
  A table of defaults says names and types: an integer takes integers, a float any number, a boolean --name and --no-name, a text anything.
  The list part holds names in the order of --help, "name" or "name: what it is". range = { lr = "(0, 1]" }.
  > local o = ms.args.parse({ epochs = 5, lr = 1e-3, quick = false }, {}, { "--lr", "0.1", "--quick" })
  > o.epochs, o.lr, o.quick
args.parse(defaults [, opts [, argv]]) -> options
  ms.args with the list of arguments given.
  > ms.args.parse({ epochs = 5 }, {}, { "--epochs", "3" }).epochs
args.standard(defaults [, opts]) -> options
  ms.args with the options of all experiments in front: epochs, batch, lr, seed, device, data, out, quick, resume; defaults may change
  theirs.
  ~ local o = ms.args.standard { epochs = 5, dims = 8 }
args.standard_spec(defaults [, opts]) -> the two tables that ms.args.standard would parse
  > ms.args.standard_spec { epochs = 5 }
args.choice { "first", "second", ... } -> a kind of option: one of these words, the first by default
  > ms.args.parse({ loss = ms.args.choice { "mse", "bce" } }, {}, {}).loss
args.list { 128, 64 } -> a kind of option: a list of numbers, with commas on the command line
  > #ms.args.parse({ widths = ms.args.list { 128, 64 } }, {}, { "--widths", "1,2,3" }).widths
args.string: a kind of option: a text, absent unless given
  > ms.args.parse({ data = ms.args.string }, {}, {}).data
args.integer: a kind of option: an integer, absent unless given
  > ms.args.parse({ limit = ms.args.integer }, {}, { "--limit", "3" }).limit
args.number: a kind of option: a number, absent unless given
  > ms.args.parse({ at = ms.args.number }, {}, { "--at", "0.5" }).at
args.convert(o, name, text) -> the value that --name text would give the option, or nil and why not
  o: of ms.args, or a plain table whose values say what kind is expected.
  > ms.args.convert({ lr = 0.1 }, "lr", "1e-3")
args.within(o, name, range): raises unless o's number of that name lies in the interval, "[1, 60000]", which the script knows by now
  > ms.args.within({ k = 3 }, "k", "[1, 10]")
json: ms.json, values as JSON and back
  > ms.json.decode(ms.json.encode { a = { 1, 2 } }).a[2]
json.encode(value [, { first =, indent =, replace = false }]) -> text
  first: keys that come first in objects; indent: a text to indent lines by; replace: bytes that are not UTF-8 become U+FFFD, not an error.
  > ms.json.encode { epoch = 1, loss = 0.5 }
json.decode(text [, null]) -> value; raises, with line and column, when it is none
  null: what stands for null in objects; without it such a key is absent.
  > ms.json.decode('{"a": [1, 2]}').a[1]
json.array(t) -> t, marked as a list, so that an empty one is [] and not {}
  > ms.json.encode(ms.json.array {})
json.null: what null is in lists
  > ms.json.decode("[null]")[1] == ms.json.null
]==]
