-- search: how badly can a generator make a state? (Schlegl et al., AnoGAN, IPMI 2017.) Gradient descent on the latent vector, many states
-- at once, from the nearest of 1,000 generated states, in steps whose length falls; the score is the least mean squared error on the way.
local ms = require "mascon"

-- G: the generator (in evaluation mode here); states: of wgan.data; o.latent, o.latent_steps, o.seed. Gives the errors of all states in
-- their order, N, and six states with what was found for them.
return function(G, states, o)
  local device, mask, n = states.device, states.mask, #states
  local function small(x) return ms.avg_pool2d(x, math.max(1, states.size // 16)):flatten(2) end -- enough to begin with
  G:eval()
  local step = ms.compile(function(x, z, length)
    z = z:detach():requires_grad_()
    local errors = (G(z) * mask - x):pow(2):mean { 2, 3, 4 }
    local slope = ms.grad(errors:sum(), z)
    return z - length * slope / (slope:norm(2, 2, true) + 1e-12), errors
  end)
  local starts = ms.with_seed(o.seed, ms.randn, { 1000, o.latent }, { device = device })
  local pictures = {}
  for i = 1, 1000, 100 do
    pictures[#pictures + 1] = ms.no_grad(function() return small(G(starts[{ { i, i + 99 } }]) * mask) end)
  end
  local near = ms.ml.knn { k = 1 }:fit(ms.cat(pictures))

  local best, shown = {}, nil
  for i in ms.progress(math.ceil(n / 50), { label = "latent search" }) do
    local scope <close> = ms.scope()
    local x = states:batch(ms.arange((i - 1) * 50 + 1, math.min(i * 50, n), { dtype = "i64" }))
    local z, least = starts:index_select(1, near:neighbours(small(x), 1)[{ {}, 1 }]:to(device)), nil
    for k = 1, o.latent_steps do
      local errors
      z, errors = step(x, z, 0.02 + 1 + math.cos(math.pi * (k - 1) / o.latent_steps))
      least = least and ms.minimum(least, errors) or errors
    end
    best[i] = scope:keep(least)
    shown = shown or { scope:keep(x[{ { 1, 6 } }]), scope:keep(ms.no_grad(G, z[{ { 1, 6 } }]) * mask) }
  end
  G:train()
  return ms.cat(best), shown
end
