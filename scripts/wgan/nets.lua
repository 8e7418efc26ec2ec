-- nets: generator, critic and classifier of wgan_anomaly, for fields of size x size (a power of two, 16 or more).
local ms = require "mascon"
local nn = ms.nn
local nets = {}

-- How often a side of `size` must be halved to come down to 4.
local function stages(size)
  local n = math.tointeger(math.log(size // 4, 2))
  if not n or n < 2 or n > 6 or 4 << n ~= size then error(("size %d: expected 16, 32, 64, 128 or 256"):format(size), 0) end
  return n
end

-- N x latent -> N x 2 x size x size, values from 0 to 1: a linear map to 4 x 4, then enlarged twofold and convolved, step by step.
function nets.generator(size, latent)
  local widths, n = { 256, 128, 64, 32, 16, 16 }, stages(size)
  local list = { nn.linear(latent, 4096), nn.unflatten(256, 4, 4) }
  local function add(m) list[#list + 1] = m end
  for i = 1, n do
    add(nn.upsample(2))
    if i < n then
      add(nn.conv2d(widths[i], widths[i + 1], 3, { padding = 1, bias = false }))
      add(nn.batch_norm2d(widths[i + 1]))
      add(nn.relu())
    else
      add(nn.conv2d(widths[i], 2, 3, { padding = 1 }))
      add(nn.sigmoid())
    end
  end
  return nn.sequential(list)
end

-- N x 2 x size x size -> N x 1: halved by each convolution until 4 x 4 is left, then a linear map, without a final activation. around(m):
-- what stands in the place of a convolution or linear map; norm(width): what follows a convolution but the first, or nil.
local function halving(size, around, norm)
  local widths, n, list = { 2, 16, 32, 64, 128, 256, 256 }, stages(size), {}
  for i = 1, n do
    list[#list + 1] = around(nn.conv2d(widths[i], widths[i + 1], 4, { stride = 2, padding = 1 }))
    if norm and i > 1 then list[#list + 1] = norm(widths[i + 1]) end
    list[#list + 1] = nn.leaky_relu(0.2)
  end
  list[#list + 1] = nn.flatten()
  list[#list + 1] = around(nn.linear(16 * widths[n + 1], 1))
  return nn.sequential(list)
end
local function itself(m) return m end

-- The critic has no batch norm, for the penalty is of each sample by itself. spectral: each weight over its largest singular value (Miyato
-- et al., ICLR 2018).
function nets.critic(size, spectral) return halving(size, spectral and nn.spectral_norm or itself) end

-- The classifier, a logit for each state.
function nets.classifier(size) return halving(size, itself, nn.batch_norm2d) end

return nets
