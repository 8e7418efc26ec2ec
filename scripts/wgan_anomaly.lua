-- wgan_anomaly: a Wasserstein GAN with gradient penalty (Gulrajani et al., NeurIPS 2017) learns what the winter stratosphere looks like;
-- then its generator teaches: what it makes of latent vectors far from the middle counts as unusual, and a classifier learns to tell that
-- from the rest. Three anomaly scores (the classifier's, the critic's, how badly a state can be generated) are held against the truth.
--
--   mascon scripts/make_stratosphere.lua                        -- once: writes runs/stratosphere
--   mascon scripts/wgan_anomaly.lua [--epochs 300] [--size 64] [--constraint gradient] [--compare 10] [--quick] [--resume] [--help]
local ms = require "mascon"
local term = require "mascon.term"
local data, nets, samplers = require "wgan.data", require "wgan.nets", require "wgan.samplers"
local search, teach = require "wgan.search", require "wgan.teach"
local nn, optim, ml, plot = ms.nn, ms.optim, ms.ml, ms.plot

local o = ms.args.standard({
  epochs = 300, batch = 32, lr = 1e-4, seed = 1, out = "runs/wgan_anomaly",
  size = ms.args.choice { "data", "64", "128", "256" }, latent = 128, critic_steps = 4, penalty = 10.0, decay = 0.995, validation = 0.1,
  constraint = ms.args.choice { "gradient", "spectral", "clip" }, clip = 0.01, compare = 0,
  quantile = 0.98, sampler = ms.args.choice { "ball", "normal" }, classifier_epochs = 512, classifier_batch = 128,
  classifier_batches = 128, classifier_lr = 2e-4, patience = 10, threshold = 0.5, latent_steps = 40,
}, {
  help = "WGAN-GP on states of the stratosphere, and its generator as the teacher of an anomaly classifier",
  describe = {
    epochs = "passes over the states", lr = "learning rate of generator and critic (Adam, betas 0 and 0.9)",
    size = "of the fields that are learned: as the data, or smaller by averaging", latent = "numbers that a state is generated from",
    critic_steps = "critic steps for one of the generator", penalty = "weight of the gradient penalty",
    decay = "factor of both learning rates after each epoch", validation = "part of the states that is not trained on",
    constraint = "what keeps the critic smooth: the gradient penalty, spectral normalisation, or clipped weights",
    clip = "where weights are clipped", compare = "epochs of a comparison of the three, in a figure of its own; 0: none",
    quantile = "part of the latent vectors that counts as usual", sampler = "whose classifier the summary calls auroc_classifier",
    classifier_epochs = "at most; it ends earlier when its loss falls no more", classifier_batch = "fresh samples in a step",
    classifier_batches = "steps in an epoch", classifier_lr = "learning rate (Adam)",
    patience = "epochs without a lower loss before it ends",
    threshold = "probability above which a state is called anomalous", latent_steps = "steps of the search for a state's latent vector",
  },
  range = { latent = "[1, ]", critic_steps = "[1, ]", penalty = "(0, ]", decay = "(0, 1]", validation = "(0, 1)", clip = "(0, ]",
    compare = "[0, ]", quantile = "[0.5, 1)", classifier_epochs = "[1, ]", classifier_batch = "[2, ]", classifier_batches = "[1, ]",
    classifier_lr = "(0, ]", patience = "[1, ]", threshold = "(0, 1)", latent_steps = "[1, ]" },
})
if o.quick then
  o.epochs, o.classifier_epochs, o.classifier_batches, o.latent_steps = math.min(o.epochs, 2), math.min(o.classifier_epochs, 1), 4, 4
  o.classifier_batch, o.compare = math.min(o.classifier_batch, 64), math.min(o.compare, 1)
end

-- ---- data ------------------------------------------------------------------------------------------------------------------------
local states = data.open { folder = o.data, size = o.size, device = o.device, limit = o.quick and 256 or nil }
local device, mask, size, n = states.device, states.mask, states.size, #states
local truth = states:truth() -- read now, so that a file that is wrong is told before the training; used for scoring only
local mixed = ms.with_seed(o.seed, ms.randperm, n)
local n_val = math.max(1, math.floor(n * o.validation + 0.5))
local val_rows, train_rows = mixed[{ { 1, n_val } }], mixed[{ { n_val + 1, n } }]
local per_epoch = #train_rows // o.batch -- whole batches
ms.args.within(o, "batch", ("[1, %d]"):format(#train_rows))
print(("%s: %d training and %d validation states of 2 x %d x %d, on %s"):format(states.source, #train_rows, n_val, size, size, device))
local run = ms.run(o.out, { options = o, resume = o.resume, tensorboard = true, same = { states = n, size = size },
  may_change = { "sampler", "threshold", "latent_steps", "classifier_epochs", "patience", "compare" } })

-- ---- generator and critic --------------------------------------------------------------------------------------------------------
-- What is trained, with a critic of that constraint: both nets, their optimizers and schedules, and one compiled step for each net.
local function adversaries(constraint)
  ms.seed(o.seed)
  local a = { G = nets.generator(size, o.latent):to(device), D = nets.critic(size, constraint == "spectral"):to(device) }
  local G, D = a.G, a.D
  a.adam_g = optim.adam(G:parameters(), { lr = o.lr, betas = { 0, 0.9 } })
  a.adam_d = optim.adam(D:parameters(), { lr = o.lr, betas = { 0, 0.9 } })
  a.schedule_g = optim.lr_scheduler.exponential_lr(a.adam_g, o.decay)
  a.schedule_d = optim.lr_scheduler.exponential_lr(a.adam_d, o.decay)
  local adam_g, adam_d = a.adam_g, a.adam_d
  local function fakes(k) return G(ms.randn({ k, o.latent }, { device = device })) * mask end

  a.critic_step = ms.compile(function(real)
    local fake = ms.no_grad(fakes, #real)
    local loss = D(fake):mean() - D(real):mean()
    if constraint == "gradient" then
      local eps = ms.rand({ #real, 1, 1, 1 }, { device = device })
      local x_hat = (eps * real + (1 - eps) * fake):requires_grad_()
      local slope = ms.grad(D(x_hat):sum(), x_hat)
      loss = loss + o.penalty * ((slope:flatten(2):norm(2, 2) - 1) ^ 2):mean()
    end
    adam_d:zero_grad()
    loss:backward()
    adam_d:step()
    if constraint == "clip" then
      local guard <close> = ms.no_grad()
      for _, p in ipairs(D:parameters()) do p:clamp_(-o.clip, o.clip) end
    end
    return loss
  end)
  a.generator_step = ms.compile(function(k)
    local loss = -D(fakes(k)):mean()
    adam_g:zero_grad()
    loss:backward { inputs = G:parameters() } -- the critic's gradients are not wanted
    adam_g:step()
    return loss
  end)
  return a
end

-- How far the critic tells real states from generated ones: mean D(real) - D(fake), in evaluation mode, without the penalty.
local function wasserstein(a)
  a.G:eval()
  a.D:eval()
  local apart = ms.with_seed(o.seed, states.map, states, function(x)
    return a.D(x) - a.D(a.G(ms.randn({ #x, o.latent }, { device = device })) * mask)
  end, val_rows)
  a.G:train()
  a.D:train()
  return apart:mean():item()
end

local function fakes(b, k) -- k generated states, in evaluation mode
  return nn.evaluate(b.G, b.G, ms.randn({ k, o.latent }, { device = device })) * mask
end

-- One epoch; gives the mean losses of critic and generator.
local function epoch_of(a, label)
  local order, critic_loss, generator_loss = train_rows:index_select(1, ms.randperm(#train_rows)), ms.meter.mean(), ms.meter.mean()
  for b in ms.progress(per_epoch, { label = label }) do
    local scope <close> = ms.scope()
    critic_loss:add(a.critic_step(states:batch(order[{ { (b - 1) * o.batch + 1, b * o.batch } }])))
    if (b - 1) % o.critic_steps == 0 then generator_loss:add(a.generator_step(o.batch)) end -- the first batch included
  end
  return critic_loss:value(), generator_loss:value()
end

local a = adversaries(o.constraint)
local parts = { generator = a.G, critic = a.D, adam_g = a.adam_g, adam_d = a.adam_d, schedule_g = a.schedule_g, schedule_d = a.schedule_d }
print(a.G, a.D)
ms.rehearse(a.critic_step, parts, { states:batch(train_rows[{ { 1, o.batch } }]) })
ms.rehearse(a.generator_step, parts, { o.batch })
local epoch = run:done({ "model" }, o.epochs)
if epoch > 0 then run:load("model", parts) end
while epoch < o.epochs do
  epoch = epoch + 1
  local t = term.time()
  local critic_loss, generator_loss = epoch_of(a, ("epoch %d/%d"):format(epoch, o.epochs))
  t = (term.time() - t) / per_epoch
  local w = run:finite("wasserstein", wasserstein(a))
  a.schedule_g:step()
  a.schedule_d:step()
  run:epoch { epoch = epoch, step = epoch * per_epoch, critic_loss = critic_loss, generator_loss = generator_loss, wasserstein = w }
  if epoch % 10 == 1 then
    local sixteen = ms.with_seed(o.seed, fakes, a, 16)
    run:board():image("vorticity", ms.image.grid(sixteen[{ {}, { 1, 1 } }], { columns = 4 }), epoch)
  end
  local saved = { epoch = epoch }
  for name, part in pairs(parts) do saved[name] = part end
  run:save("generator", { generator = a.G })
  run:save("model", saved)
  print(("epoch %d  critic %.4f  generator %.4f  wasserstein %.4f  %.0f ms a step, %.0f MB"):format(epoch, critic_loss, generator_loss, w,
    1e3 * t, ms.memory().peak / 1e6))
end

-- ---- what it has learned ---------------------------------------------------------------------------------------------------------
local titles = { critic_loss = "critic: D(fake) - D(real) + penalty", generator_loss = "generator: -D(fake)",
  wasserstein = "validation: D(real) - D(fake)" }
local units = { critic_loss = "critic's loss", generator_loss = "generator's loss", wasserstein = "distance" }
local histories = { title = "training, by epoch", file = run:path "histories.png" }
for _, name in ipairs { "critic_loss", "generator_loss", "wasserstein" } do
  histories[#histories + 1] = { kind = "lines", { y = run:column(name) }, title = titles[name], xlabel = "epoch",
    ylabel = units[name], legend = false }
end
plot.panels(histories)
local scale = math.max(1, 128 // size)
local function field(x, i) return x[{ {}, { i, i } }] end -- 1: vorticity, 2: height
local function both_fields(name, title, x, captions)
  plot.tiles { { field(x, 1), field(x, 2) }, columns = #x, rows = { "vorticity", "height" }, title = title, captions = captions,
    scale = scale, file = run:path(name) }
end
ms.seed(o.seed)
local real = states:batch(val_rows[{ { 1, 1 } }])
local made = fakes(a, 32)
both_fields("samples.png", "eight generated states", made[{ { 1, 8 } }])
plot.tiles { { field(real, 1), field(real, 2), field(made, 1)[{ { 1, 1 } }], field(made, 2)[{ { 1, 1 } }] }, columns = 2,
  rows = { "real", "generated" }, captions = { "vorticity", "height" }, scale = scale, title = "real over generated",
  file = run:path "real_over_fake.png" }
for i, name in ipairs { "vorticity", "height" } do
  plot.tiles { field(made, i)[{ { 1, 16 } }], columns = 4, scale = scale, title = "generated: " .. name,
    file = run:path(("fakes_%s.png"):format(name)) }
end

-- ---- the three constraints compared ------------------------------------------------------------------------------------------------
if o.compare > 0 then
  local curves = { title = "what keeps the critic smooth", xlabel = "epoch", ylabel = "validation: D(real) - D(fake)",
    file = run:path "constraints.png" }
  for _, constraint in ipairs { "gradient", "spectral", "clip" } do
    local other, y = adversaries(constraint), {}
    for e = 1, o.compare do
      epoch_of(other, ("%s %d/%d"):format(constraint, e, o.compare))
      y[e] = wasserstein(other)
    end
    curves[#curves + 1] = { y = y, label = constraint }
    print(("%-10s wasserstein after %d epochs: %.4f"):format(constraint, o.compare, y[#y]))
  end
  plot.lines(curves)
end

-- ---- latent vectors, usual and unusual ---------------------------------------------------------------------------------------------
local q = ml.chi(o.latent):ppf(o.quantile)
local counts, points = {}, { title = "10,000 points of each sampler, n = 2", file = run:path "samplers.png" }
for _, name in ipairs { "ball", "normal" } do
  local outer = samplers.outer(samplers[name](10000, o.latent, q, o.quantile), q):to("i64"):sum():item()
  counts[name] = { inner = 10000 - outer, outer = outer }
  print(("%-7s n = %d: %d of 10,000 inside |z| = %.4f, %d outside"):format(name, o.latent, 10000 - outer, q, outer))
  local q2 = ml.chi(2):ppf(o.quantile)
  local z = samplers[name](10000, 2, q2, o.quantile)
  points[#points + 1] = { kind = "scatter", points = z, class = samplers.outer(z, q2):to "i64" + 1, classes = { "usual", "unusual" },
    title = name, equal = true, pointsize = 0.3, xlabel = "z1", ylabel = "z2" }
end
plot.panels(points)

-- ---- three anomaly scores ------------------------------------------------------------------------------------------------------------
-- 1: the generator teaches a classifier to tell states made of unusual latent vectors, for each sampler one.
local scores, losses = {}, {}
for _, name in ipairs { "ball", "normal" } do
  local C
  C, losses[name] = teach(name, a.G, states, run, q, o)
  scores["classifier_" .. name] = states:map(function(x) return C(x):sigmoid():squeeze(2) end)
end
-- 2: the critic gives real states more. 3: how badly can the generator make a state?
a.D:eval()
scores.critic = states:map(function(x) return -a.D(x):squeeze(2) end)
local remade
scores.latent, remade = search(a.G, states, o)
plot.lines { { y = losses.ball, label = "ball" }, { y = losses.normal, label = "normal" }, title = "classifiers, by sampler",
  xlabel = "epoch", ylabel = "cross entropy", file = run:path "classifier_loss.png" }
local score = scores["classifier_" .. o.sampler]
local marked = score:gt(o.threshold)
local flagged = math.tointeger(marked:to("i64"):sum():item())
plot.hist { score, bins = 60, threshold = { o.threshold, label = ("threshold %g"):format(o.threshold) }, logy = true,
  title = ("classifier (%s): probability of being anomalous"):format(o.sampler), xlabel = "probability", ylabel = "states",
  file = run:path "probabilities.png" }
local order = select(2, score:sort(1, true))
for name, rows in pairs { anomalous = order[{ { 1, 8 } }], normal = order[{ { n - 7, n } }] } do
  local captions = {}
  for k, p in ipairs(rows:totable()) do captions[k] = ("%d: %.3f"):format(p, score[p]:item()) end
  both_fields(("most_%s.png"):format(name), ("the eight most %s states (position: probability)"):format(name), states:batch(rows), captions)
end
plot.tiles { { field(remade[1], 1), field(remade[2], 1) }, columns = #remade[1], rows = { "state", "found" }, scale = scale,
  title = "vorticity, and what the generator comes nearest to", file = run:path "latent_search.png" }
print(("%d of %d states have a probability above %g, %d have not"):format(flagged, n, o.threshold, n - flagged))

-- ---- against the hidden truth --------------------------------------------------------------------------------------------------------
local summary = { device = device, critic_loss = run:column "critic_loss"[o.epochs], wasserstein = run:column "wasserstein"[o.epochs],
  chi_q98 = q, inner = counts[o.sampler].inner, outer = counts[o.sampler].outer,
  classifier_loss = losses[o.sampler][#losses[o.sampler]], flagged = flagged }
if truth then
  for _, name in ipairs { "classifier_ball", "classifier_normal", "critic", "latent" } do
    summary["auroc_" .. name] = ml.auroc(scores[name], truth)
  end
  summary.auroc_classifier = summary["auroc_classifier_" .. o.sampler]
end
run:summary(summary)
for _, name in ipairs { "critic_loss", "wasserstein", "chi_q98", "inner", "outer", "classifier_loss", "flagged", "auroc_classifier",
  "auroc_classifier_ball", "auroc_classifier_normal", "auroc_critic", "auroc_latent" } do
  if summary[name] then print(("%-24s %.6g"):format(name, summary[name])) end
end
run:close()
print(("figures, metrics and checkpoints are in %s"):format(o.out))
