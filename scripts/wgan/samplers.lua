-- samplers: latent vectors for the classifier of wgan_anomaly, half of them usual (|z| <= q), half unusual. q is the quantile of the chi
-- distribution: of a normal vector of d numbers the length stays below it with that probability.
local ms = require "mascon"
local samplers = {}

-- n points, evenly spread in the ball of radius q * 2^(1/d), half of whose volume lies inside q: n x d. At d = 128 nearly all inner ones
-- lie close to q, farther out than most of what the generator was trained on.
function samplers.ball(n, d, q) return ms.ml.sample_ball(n, d, { radius = q * 2 ^ (1 / d) }) end

-- n normal vectors, of which inner ones are dropped with the probability that makes both sides equal: for the quantile 0.98, 48 of 49
-- (quantile from 0.5 on: below that there are fewer inner ones than outer).
function samplers.normal(n, d, q, quantile)
  local kept, have = {}, 0
  local keep = (1 - quantile) / quantile -- of the inner ones
  while have < n do
    local z = ms.randn { math.ceil(math.min(0.6 * n / (1 - quantile), 4e6 / d)), d } -- 16 MB at most at a time
    local fine = z:norm(2, 2):gt(q):logical_or(ms.rand({ #z }):lt(keep))
    kept[#kept + 1] = z[fine]
    have = have + #kept[#kept]
  end
  return ms.cat(kept)[{ { 1, n } }]
end

-- Which of them are unusual: n truths.
function samplers.outer(z, q) return z:norm(2, 2):gt(q) end

return samplers
