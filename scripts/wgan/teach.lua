-- teach: a classifier that learns of generated states alone: does a state's latent vector lie outside of the quantile q? Half of its
-- samples do, by a sampler of wgan.samplers; each step has fresh ones.
local ms = require "mascon"
local nets, samplers = require "wgan.nets", require "wgan.samplers"
local nn = ms.nn

-- name: of the sampler; G: the generator, in evaluation mode here; states: of wgan.data; run: its folder (classifier_NAME is the
-- checkpoint); q; o: the script's options. Gives the classifier, in evaluation mode, and the mean loss of each epoch.
return function(name, G, states, run, q, o)
  ms.seed(o.seed + 1)
  local device, mask, sampler, key = states.device, states.mask, samplers[name], "classifier_" .. name
  local C = nets.classifier(states.size):to(device)
  local adam = ms.optim.adam(C:parameters(), { lr = o.classifier_lr })
  local stop = ms.early_stopping { patience = o.patience }
  local step = ms.compile(function(z, outer)
    local loss = nn.bce_with_logits(C(ms.no_grad(G, z) * mask), outer)
    adam:zero_grad()
    loss:backward()
    adam:step()
    return loss
  end)
  local function fresh()
    local z = sampler(o.classifier_batch, o.latent, q, o.quantile)
    return z:to(device), samplers.outer(z, q):float():unsqueeze(2):to(device)
  end
  G:eval()
  ms.rehearse(step, { C = C, adam = adam, G = G }, { fresh() })
  local at = o.resume and run:load(key, { C = C, adam = adam, stop = stop })
  local losses = at and at.losses or {}
  while #losses < o.classifier_epochs and not stop.stopped do
    local epoch = #losses + 1
    local mean = ms.meter.mean()
    for _ in ms.progress(o.classifier_batches, { label = ("classifier, %s %d/%d"):format(name, epoch, o.classifier_epochs) }) do
      local scope <close> = ms.scope()
      mean:add(step(fresh()))
    end
    losses[epoch] = mean:value()
    stop:update(losses[epoch], epoch)
    run:save(key, { C = C, adam = adam, stop = stop, losses = losses })
    print(("classifier, %s: epoch %d  loss %.4f"):format(name, epoch, losses[epoch]))
  end
  G:train()
  C:eval()
  return C, losses
end
