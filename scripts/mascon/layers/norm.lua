-- Layers that bring values to mean 0 and variance 1: over the batch, over each sample, over groups of channels.
local ms = require "mascon"
local inside = require "mascon.inside"
local options = require "mascon.options"
local states = require "mascon.state"
local kit = require "mascon.layers.kit"
local nn, layer, kinds = kit.nn, kit.layer, kit.kinds

-- momentum: a share, or false: the running values are the mean of all batches so far.
local function momentum(v)
  if v == false then return true, nil, false end
  return kinds.positive(v), "a finite number from 0 on, or false for the mean of all batches"
end

-- A list of sizes, or one.
local function sizes(v)
  local list = {}
  for i, n in ipairs(type(v) == "table" and v or { v }) do list[i] = kinds.count(n) end
  local whole = #list > 0 and (type(v) ~= "table" or #list == #v)
  return whole and list or nil, "a size or a list of sizes from 1 on"
end

local function rank_of(self, x, words, a, b)
  local rank = x:dim()
  if rank ~= a and rank ~= b then options.raise("%s: expected %s, got %s", self.__name, words, states.sizes(x)) end
  return rank
end

-- ---- with running values --------------------------------------------------------------------------------------------------------------

-- The parameters and buffers of a norm per channel, as PyTorch has them.
local function per_channel(self)
  local n = { self.channels }
  if self.affine then
    self.weight = nn.parameter(ms.ones(n))
    self.bias = nn.parameter(ms.zeros(n))
  end
  if self.track then
    self:register_buffer("running_mean", ms.zeros(n))
    self:register_buffer("running_var", ms.ones(n))
    self:register_buffer("num_batches_tracked", ms.zeros({}, { dtype = "i64" }))
  end
end

local function takes(affine, track)
  return { { "channels", kinds.count }, { "eps", kinds.positive, 1e-5 }, { "momentum", momentum, 0.1 },
    { "affine", kinds.boolean, affine }, { "track", kinds.boolean, track } }
end

-- Training with momentum = false: batch k has the share 1/k.
local function cumulative(self, x)
  local n = x:numel() // x:size(2)
  if n <= 1 then
    options.raise("%s: %s has one value per channel, expected more while training; a last batch of one sample is left out by a loader with "
      .. "drop_last = true", self.__name, states.sizes(x))
  end
  local y, mean, rstd = inside.batch_normalize(x, self.weight, self.bias, self.eps)
  local guard <close> = ms.no_grad()
  self.num_batches_tracked:add_(1)
  local share = self.num_batches_tracked:to(x.dtype):reciprocal()
  self.running_mean:lerp_(mean, share)
  self.running_var:lerp_((rstd:square():reciprocal() - self.eps) * (n / (n - 1)), share)
  return y
end

-- nn.batch_norm(channels [, {eps = 1e-5, momentum = 0.1, affine = true, track = true}]): for N x C and N x C x ... alike. While training by
-- the batch's mean and variance, which the running ones follow (momentum = false: they are the mean of all batches); else by these.
local BatchNorm = layer("batch_norm", 1, takes(true, true), per_channel)
function BatchNorm:forward(x)
  local training = self.training
  local counts = training and self.track
  if counts and not self.momentum then return cumulative(self, x) end
  local y = ms.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training or not self.track,
    self.momentum or 0, self.eps)
  if counts then self.num_batches_tracked:add_(1) end -- a batch that was refused is not counted
  return y
end

-- nn.batch_norm1d(channels [, options]): nn.batch_norm for N x C and N x C x L only
local BatchNorm1d = layer("batch_norm1d", 1, takes(true, true), per_channel, BatchNorm)
function BatchNorm1d:forward(x)
  rank_of(self, x, "N x C or N x C x L", 2, 3)
  return BatchNorm.forward(self, x)
end

-- nn.batch_norm2d(channels [, options]): nn.batch_norm for N x C x H x W only
local BatchNorm2d = layer("batch_norm2d", 1, takes(true, true), per_channel, BatchNorm)
function BatchNorm2d:forward(x)
  rank_of(self, x, "N x C x H x W", 4)
  return BatchNorm.forward(self, x)
end

local function instance_norm(self, x)
  return ms.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training or not self.track,
    self.momentum or 0, self.eps)
end
local function instance(name, words, rank)
  local class = layer(name, 1, takes(false, false), per_channel)
  function class:forward(x)
    if rank_of(self, x, words, rank, rank - 1) == rank then return instance_norm(self, x) end
    return instance_norm(self, x:unsqueeze(1)):squeeze(1)
  end
end

-- nn.instance_norm1d(channels [, {eps = 1e-5, momentum = 0.1, affine = false, track = false}]): each channel of each sample by itself, for
-- N x C x L and C x L
instance("instance_norm1d", "N x C x L or C x L", 3)

-- nn.instance_norm2d(channels [, options]): the same for N x C x H x W and C x H x W
instance("instance_norm2d", "N x C x H x W or C x H x W", 4)

-- ---- by the sample alone ----------------------------------------------------------------------------------------------------------------

-- Parameters of the shape normalized_shape. `bias` is an option first, as in kit.bias.
local function like_sample(self)
  local wanted = self.bias
  self.bias = nil
  if not self.elementwise_affine then return end
  self.weight = nn.parameter(ms.ones(self.normalized_shape))
  if wanted then self.bias = nn.parameter(ms.zeros(self.normalized_shape)) end
end

-- nn.layer_norm(normalized_shape [, {eps = 1e-5, elementwise_affine = true, bias = true}]): over the last dimensions, whose sizes are given
local LayerNorm = layer("layer_norm", 1, { { "normalized_shape", sizes }, { "eps", kinds.positive, 1e-5 },
  { "elementwise_affine", kinds.boolean, true }, { "bias", kinds.boolean, true } }, like_sample)
function LayerNorm:forward(x) return ms.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps) end

-- nn.rms_norm(normalized_shape [, {eps = the dtype's, elementwise_affine = true}]): without a mean
local RmsNorm = layer("rms_norm", 1, { { "normalized_shape", sizes }, { "eps", kinds.positive, optional = true },
  { "elementwise_affine", kinds.boolean, true } }, like_sample)
function RmsNorm:forward(x) return ms.rms_norm(x, self.normalized_shape, self.weight, self.eps or -1) end

-- nn.group_norm(num_groups, num_channels [, {eps = 1e-5, affine = true}]): over each of num_groups groups of channels of each sample
local GroupNorm = layer("group_norm", 2, { { "num_groups", kinds.count }, { "num_channels", kinds.count },
  { "eps", kinds.positive, 1e-5 }, { "affine", kinds.boolean, true } }, function(self)
  if self.num_channels % self.num_groups ~= 0 then
    options.raise("nn.group_norm: %d groups do not divide %d channels", self.num_groups, self.num_channels)
  end
  if not self.affine then return end
  self.weight = nn.parameter(ms.ones { self.num_channels })
  self.bias = nn.parameter(ms.zeros { self.num_channels })
end)
function GroupNorm:forward(x)
  if x:dim() >= 2 and x:size(2) ~= self.num_channels then
    options.raise("group_norm: expected %d channels, got %s", self.num_channels, states.sizes(x))
  end
  return ms.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
end

-- nn.local_response_norm(size [, {alpha = 1e-4, beta = 0.75, k = 1}]): by the squares of `size` neighbouring channels
local LocalResponseNorm = layer("local_response_norm", 1, { { "size", kinds.count }, { "alpha", kinds.number, 1e-4 },
  { "beta", kinds.number, 0.75 }, { "k", kinds.number, 1 } })
function LocalResponseNorm:forward(x) return ms.local_response_norm(x, self.size, self.alpha, self.beta, self.k) end
