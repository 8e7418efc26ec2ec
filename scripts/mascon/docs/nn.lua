-- What ?nn.NAME says: layers. The form is told in docs.lua.
return [==[
nn: ms.nn, layers and modules
  A module is made (nn.linear(2, 3)), called (m(x)), and knows its parameters (m:parameters()). A class of yours is made by nn.class.
  Losses are functions, nn.mse(x, target). All methods of a module: ?m
  > local net = nn.sequential { nn.linear(2, 8), nn.tanh(), nn.linear(8, 1) }
  > net(ms.randn { 5, 2 }).shape
nn.class(name [, parent]) -> class
  A class of modules, to be filled in: Net:init(...) makes its layers, Net:forward(x) uses them. Calling the class makes a module and runs
  init; what is assigned to fields (modules, nn.parameter, nn.buffer) registers itself. parent: the class whose methods it inherits.
  > local Net = nn.class "Net"
  > function Net:init(k) self.first = nn.linear(4, k) end
  > function Net:forward(x) return self.first(x):relu() end
  > Net(3)(ms.ones { 2, 4 }).shape
nn.module: the class that all modules come from
  nn.class "Net" is a class below it. Its methods are those of every module: ?m
  > nn.is_class(nn.module)
nn.is_class(v) -> true or false: is v a class of modules?
  > nn.is_class(nn.linear), nn.is_class(nn.linear(1, 1))
nn.is_module(v) -> true or false: is v a module?
  > nn.is_module(nn.relu()), nn.is_module(3)
nn.parameter(tensor) -> tensor
  The tensor, requiring gradients: assign it to a field of a module, and it is one of its parameters.
  > nn.parameter(ms.zeros { 3 }).requires_grad
nn.buffer(tensor [, persistent = true]) -> the tensor, marked
  It becomes a buffer where it is assigned: it moves with the module and is part of state_dict (not with persistent = false), and is not
  trained.
  > local Net = nn.class "Net"
  > function Net:init() self.mean = nn.buffer(ms.zeros { 3 }) end
  > Net():buffers()[1].shape
nn.evaluate(model, f, ...) -> what f(...) gives
  Calls f with the model in evaluation mode and without gradients; then each module is in the mode it had, after an error too.
  > local net = nn.sequential { nn.linear(2, 2), nn.dropout(0.5) }
  > nn.evaluate(net, net, ms.ones { 1, 2 }).requires_grad
nn.evaluating(model): evaluation mode until the end of the block
  local mode <close> = nn.evaluating(model). Then each module is in the mode it had.
  > local net = nn.dropout(0.5)
  > do local mode <close> = nn.evaluating(net); assert(net(ms.ones { 3 }):sum():item() == 3) end
  > net.training
nn.sequential { a, b, ... } -> module
  c(b(a(x))). An entry may be a plain function. net[1], net[-1], net[{ 2, 3 }] (a part), #net; net:append(m), net:insert(i, m),
  net:extend { ... }, net:pop(i).
  > local net = nn.sequential { nn.flatten(), nn.linear(784, 10), nn.softmax() }
  > net(ms.rand { 2, 1, 28, 28 }).shape, #net
nn.module_list { a, b, ... } -> module
  Modules in a field, as nn.sequential holds them, without a forward: for i, m in ipairs(self.blocks) do ... end
  > #nn.module_list { nn.relu(), nn.tanh() }
nn.module_dict { name = module, ... } -> module
  Modules in a field by name: self.heads.left(x), #d, for name, m in d:items() do, d:update { ... }, d:pop(name).
  > local d = nn.module_dict { left = nn.linear(2, 1), right = nn.linear(2, 1) }
  > d.left(ms.ones { 2 }).shape, #d
nn.parameter_list { p, q, ... } -> module
  Parameters in a field; a tensor that is not one becomes one.
  > #nn.parameter_list { ms.zeros { 2 }, ms.ones { 3 } }:parameters()
nn.parameter_dict { name = p, ... } -> module
  Parameters in a field by name; a tensor that is not one becomes one.
  > nn.parameter_dict { scale = ms.ones { 1 } }.scale
nn.identity() -> module
  Gives what it gets.
  > nn.identity()(ms.ones { 2 })
nn.lambda(f [, name]) -> module
  Any function as a module.
  > nn.lambda(function(x) return x * 2 end)(ms.ones { 2 })
nn.linear(inputs, outputs [, { bias = true }]) -> module
  x w' + b, from ... x inputs to ... x outputs; weight outputs x inputs. Both are drawn from U(-k, k), k = 1 / sqrt(inputs).
  > local layer = nn.linear(3, 2)
  > layer(ms.randn { 4, 3 }).shape, layer.weight.shape
nn.bilinear(inputs1, inputs2, outputs [, { bias = true }]) -> module
  m(x1, x2) = x1' w x2 + b for each output; weight outputs x inputs1 x inputs2.
  > nn.bilinear(3, 4, 2)(ms.randn { 5, 3 }, ms.randn { 5, 4 }).shape
nn.embedding(count, width [, { padding_idx =, max_norm =, norm_type = 2 }]) -> module
  Rows of a table by positions 1..count (i64, any shape), drawn from N(0, 1). The row padding_idx is 0 and gets no gradient; rows whose norm
  is above max_norm are made shorter when they are looked up. nn.embedding.from_pretrained(weight) has the rows of a tensor.
  > nn.embedding(10, 4)(ms.tensor({ { 1, 10, 3 } }, { dtype = "i64" })).shape
nn.conv2d(channels_in, channels_out, size [, { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true,
    padding_mode = "zeros" }]) -> module
  Convolution of images N x C x H x W, or of one, C x H x W. Numbers or { height, width }; padding may be "same" (as large as x) or "valid"
  (none); padding_mode "zeros", "reflect", "replicate" or "circular". Weight out x in/groups x height x width.
  > nn.conv2d(1, 8, 3, { padding = 1, stride = 2 })(ms.rand { 2, 1, 28, 28 }).shape
nn.conv1d(channels_in, channels_out, size [, { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true,
    padding_mode = "zeros" }]) -> module
  Convolution of signals N x C x L or C x L; otherwise as nn.conv2d.
  > nn.conv1d(2, 4, 3)(ms.rand { 5, 2, 10 }).shape
nn.conv_transpose2d(channels_in, channels_out, size [, { stride = 1, padding = 0, output_padding = 0, groups = 1, bias = true,
    dilation = 1 }]) -> module
  What makes images larger, the way a convolution's gradient goes. Called as m(x), or as m(x, output_size) where a result of that height and
  width is wanted, one of those that the stride allows.
  > nn.conv_transpose2d(8, 1, 2, { stride = 2 })(ms.rand { 2, 8, 14, 14 }).shape
nn.conv_transpose1d(channels_in, channels_out, size [, { stride = 1, padding = 0, output_padding = 0, groups = 1, bias = true,
    dilation = 1 }]) -> module
  The same for signals N x C x L or C x L.
  > nn.conv_transpose1d(4, 2, 2, { stride = 2 })(ms.rand { 1, 4, 5 }).shape
nn.max_pool2d(size [, { stride = size, padding = 0, dilation = 1, ceil_mode = false, return_indices = false }]) -> module
  The largest of each window of images; return_indices: and where in its plane it stood, 1..H*W.
  > nn.max_pool2d(2)(ms.rand { 1, 3, 8, 8 }).shape
nn.max_pool1d(size [, { stride = size, padding = 0, dilation = 1, ceil_mode = false, return_indices = false }]) -> module
  The same for signals N x C x L or C x L.
  > nn.max_pool1d(2)(ms.rand { 1, 3, 8 }).shape
nn.avg_pool2d(size [, { stride = size, padding = 0, ceil_mode = false, count_include_pad = true, divisor_override = n }]) -> module
  Means over windows of images; ceil_mode: windows may begin up to the end; count_include_pad = false: padding is not counted.
  > nn.avg_pool2d(2)(ms.ones { 1, 1, 4, 4 })
nn.avg_pool1d(size [, { stride = size, padding = 0, ceil_mode = false, count_include_pad = true }]) -> module
  The same for signals N x C x L or C x L.
  > nn.avg_pool1d(2)(ms.rand { 1, 1, 4 }).shape
nn.lp_pool2d(norm_type, size [, { stride = size, ceil_mode = false }]) -> module
  (sum of x^norm_type over each window)^(1/norm_type), of images.
  > nn.lp_pool2d(2, 2)(ms.ones { 1, 1, 4, 4 })
nn.lp_pool1d(norm_type, size [, { stride = size, ceil_mode = false }]) -> module
  The same for signals.
  > nn.lp_pool1d(2, 2)(ms.ones { 1, 1, 4 })
nn.adaptive_avg_pool2d(output_size) -> module
  Means over output_size windows of images, a number or { height, width }; -1: as many as x has (PyTorch's None).
  > nn.adaptive_avg_pool2d(1)(ms.rand { 2, 16, 7, 7 }).shape
nn.adaptive_avg_pool1d(output_size) -> module
  The same for signals.
  > nn.adaptive_avg_pool1d(2)(ms.rand { 2, 3, 8 }).shape
nn.adaptive_max_pool2d(output_size [, { return_indices = false }]) -> module
  The largest of output_size windows of images; return_indices: and where in its plane it stood.
  > nn.adaptive_max_pool2d({ 2, 3 })(ms.rand { 1, 1, 6, 6 }).shape
nn.adaptive_max_pool1d(output_size [, { return_indices = false }]) -> module
  The same for signals.
  > nn.adaptive_max_pool1d(2)(ms.rand { 1, 1, 6 }).shape
nn.batch_norm(channels [, { eps = 1e-5, momentum = 0.1, affine = true, track = true }]) -> module
  For N x C and N x C x ... alike. While training by the batch's mean and variance, which the running ones follow (momentum = false: they
  are
  the mean of all batches); in evaluation by these.
  > nn.batch_norm(3)(ms.randn { 16, 3, 4, 4 }).shape
nn.batch_norm1d(channels [, { eps = 1e-5, momentum = 0.1, affine = true, track = true }]) -> module
  nn.batch_norm for N x C and N x C x L only; other ranks are errors.
  > nn.batch_norm1d(3)(ms.randn { 16, 3 }).shape
nn.batch_norm2d(channels [, { eps = 1e-5, momentum = 0.1, affine = true, track = true }]) -> module
  nn.batch_norm for images N x C x H x W only.
  > nn.batch_norm2d(3)(ms.randn { 16, 3, 4, 4 }).shape
nn.instance_norm1d(channels [, { eps = 1e-5, momentum = 0.1, affine = false, track = false }]) -> module
  Each channel of each sample by itself, for N x C x L and C x L.
  > nn.instance_norm1d(3)(ms.randn { 2, 3, 8 }).shape
nn.instance_norm2d(channels [, { eps = 1e-5, momentum = 0.1, affine = false, track = false }]) -> module
  The same for images N x C x H x W and C x H x W.
  > nn.instance_norm2d(3)(ms.randn { 2, 3, 4, 4 }).shape
nn.layer_norm(normalized_shape [, { eps = 1e-5, elementwise_affine = true, bias = true }]) -> module
  Mean 0 and variance 1 over the last dimensions, whose sizes are given (a number or a list).
  > nn.layer_norm(8)(ms.randn { 4, 8 }).shape
nn.rms_norm(normalized_shape [, { eps =, elementwise_affine = true }]) -> module
  As nn.layer_norm, without taking off the mean; eps: the dtype's.
  > nn.rms_norm(8)(ms.randn { 4, 8 }).shape
nn.group_norm(num_groups, num_channels [, { eps = 1e-5, affine = true }]) -> module
  Over each of num_groups groups of channels of each sample.
  > nn.group_norm(2, 4)(ms.randn { 2, 4, 3, 3 }).shape
nn.local_response_norm(size [, { alpha = 1e-4, beta = 0.75, k = 1 }]) -> module
  Divides by the squares of `size` neighbouring channels.
  > nn.local_response_norm(2)(ms.randn { 2, 4, 3, 3 }).shape
nn.dropout([p = 0.5]) -> module
  While training, elements become 0 with probability p, the others x / (1 - p); in evaluation x.
  > nn.dropout(0.5):eval()(ms.ones { 3 })
nn.dropout1d([p = 0.5]) -> module
  The same with whole channels of N x C x L or C x L.
  > nn.dropout1d(0.2)(ms.ones { 2, 3, 4 }).shape
nn.dropout2d([p = 0.5]) -> module
  The same with whole channels of N x C x H x W (or N x C x L).
  > nn.dropout2d(0.2)(ms.ones { 2, 3, 4, 4 }).shape
nn.alpha_dropout([p = 0.5]) -> module
  Dropout behind nn.selu: mean 0 and variance 1 stay; elements become selu's lowest value with probability p.
  > nn.alpha_dropout(0.2)(ms.randn { 5 }).shape
nn.feature_alpha_dropout([p = 0.5]) -> module
  The same with whole channels of N x C x ...
  > nn.feature_alpha_dropout(0.2)(ms.randn { 2, 3, 4 }).shape
nn.flatten([start = 2 [, stop = -1]]) -> module
  Dimensions start..stop as one: N x C x H x W to N x (C H W).
  > nn.flatten()(ms.rand { 2, 1, 28, 28 }).shape
nn.unflatten(dim, sizes) -> module
  Dimension dim as several, whose sizes are a list; one may be -1. nn.unflatten(1, 28, 28) (numbers only) is dimension 2.
  > nn.unflatten(1, 28, 28)(ms.rand { 2, 784 }).shape
nn.unfold(size [, { dilation = 1, padding = 0, stride = 1 }]) -> module
  N x C x H x W to N x (C KH KW) x L, windows as columns (ms.im2col).
  > nn.unfold(2)(ms.rand { 1, 3, 4, 4 }).shape
nn.fold(output_size, size [, { dilation = 1, padding = 0, stride = 1 }]) -> module
  Columns added up to images (ms.col2im).
  > nn.fold({ 4, 4 }, 2)(ms.ones { 1, 12, 9 }).shape
nn.upsample(factor [, mode = "nearest" [, { align_corners = false }]]) -> module
  Images N x C x H x W or signals N x C x L, factor times as large (a number or { height, width }, fractions too); nn.upsample { size = ...,
  mode = ... }: of a size. mode "nearest", "nearest-exact", "linear" (signals), "bilinear", "bicubic" or "area".
  > nn.upsample(2)(ms.rand { 1, 3, 4, 4 }).shape, nn.upsample { size = { 7, 7 }, mode = "bilinear" }(ms.rand { 1, 3, 4, 4 }).shape
nn.pixel_shuffle(upscale_factor) -> module
  ... x C r r x H x W to ... x C x H r x W r.
  > nn.pixel_shuffle(2)(ms.rand { 1, 8, 3, 3 }).shape
nn.pixel_unshuffle(downscale_factor) -> module
  ... x C x H r x W r to ... x C r r x H x W.
  > nn.pixel_unshuffle(2)(ms.rand { 1, 2, 6, 6 }).shape
nn.channel_shuffle(groups) -> module
  Channel i of group g becomes channel g of group i.
  > nn.channel_shuffle(2)(ms.rand { 1, 4, 3, 3 }).shape
nn.constant_pad1d(padding, value) -> module
  Signals N x C x L or C x L with `value` at the ends; padding is a number or { left, right }.
  > nn.constant_pad1d({ 1, 2 }, 5)(ms.zeros { 1, 1, 2 })
nn.constant_pad2d(padding, value) -> module
  Images N x C x H x W or C x H x W with a border of `value`; padding is a number or { left, right, top, bottom }.
  > nn.constant_pad2d(1, 5)(ms.zeros { 1, 1, 1, 1 })
nn.zero_pad1d(padding) -> module
  Signals with zeros at the ends; padding is a number or { left, right }.
  > nn.zero_pad1d(1)(ms.ones { 1, 1, 2 })
nn.zero_pad2d(padding) -> module
  Images with a border of zeros; padding is a number or { left, right, top, bottom }.
  > nn.zero_pad2d({ 1, 1, 0, 0 })(ms.ones { 1, 1, 2, 2 })
nn.reflection_pad1d(padding) -> module
  Signals mirrored at the ends, without the end itself; a number or { left, right }.
  > nn.reflection_pad1d(1)(ms.arange(1, 3):reshape { 1, 1, 3 })
nn.reflection_pad2d(padding) -> module
  Images mirrored at the edges, without the edge itself; a number or { left, right, top, bottom }.
  > nn.reflection_pad2d(1)(ms.rand { 1, 1, 3, 3 }).shape
nn.replication_pad1d(padding) -> module
  Signals whose ends are repeated; a number or { left, right }.
  > nn.replication_pad1d(1)(ms.arange(1, 3):reshape { 1, 1, 3 })
nn.replication_pad2d(padding) -> module
  Images whose edges are repeated; a number or { left, right, top, bottom }.
  > nn.replication_pad2d(1)(ms.rand { 1, 1, 3, 3 }).shape
nn.circular_pad1d(padding) -> module
  Signals that go on at the other end; a number or { left, right }.
  > nn.circular_pad1d(1)(ms.arange(1, 3):reshape { 1, 1, 3 })
nn.circular_pad2d(padding) -> module
  Images that go on at the other edge; a number or { left, right, top, bottom }.
  > nn.circular_pad2d(1)(ms.rand { 1, 1, 3, 3 }).shape
nn.relu() -> module
  x where x > 0, else 0.
  > nn.relu()(ms.tensor { -1, 2 })
nn.relu6() -> module
  x kept between 0 and 6.
  > nn.relu6()(ms.tensor { -1, 2, 9 })
nn.leaky_relu([negative_slope = 0.01]) -> module
  x where x > 0, else negative_slope x.
  > nn.leaky_relu(0.2)(ms.tensor { -1, 2 })
nn.prelu([num_parameters = 1 [, init = 0.25]]) -> module
  x where x > 0, else weight x; the weight is trained: one, or one per channel.
  > nn.prelu()(ms.tensor { -1, 2 })
nn.rrelu([lower = 1/8 [, upper = 1/3]]) -> module
  x where x > 0, else a slope times x: while training a random one for each element, else the middle.
  > nn.rrelu()(ms.tensor { -1, 2 }).shape
nn.elu([alpha = 1]) -> module
  x where x > 0, else alpha (exp(x) - 1).
  > nn.elu()(ms.tensor { -1, 2 })
nn.celu([alpha = 1]) -> module
  x where x > 0, else alpha (exp(x / alpha) - 1).
  > nn.celu(2)(ms.tensor { -1, 2 })
nn.selu() -> module
  elu scaled so that mean 0 and variance 1 stay (Klambauer et al. 2017).
  > nn.selu()(ms.tensor { -1, 2 })
nn.gelu([approximate = "none"]) -> module
  x times the normal distribution function of x; "tanh": PyTorch's approximation.
  > nn.gelu()(ms.tensor { -1, 2 })
nn.silu() -> module
  x sigmoid(x), also called swish.
  > nn.silu()(ms.tensor { -1, 2 })
nn.mish() -> module
  x tanh(softplus(x)).
  > nn.mish()(ms.tensor { -1, 2 })
nn.glu([dim = -1]) -> module
  The first half of dimension dim times the sigmoid of the second.
  > nn.glu()(ms.rand { 2, 6 }).shape
nn.sigmoid() -> module
  1 / (1 + exp(-x)).
  > nn.sigmoid()(ms.tensor { -1, 0, 2 })
nn.logsigmoid() -> module
  log(sigmoid(x)).
  > nn.logsigmoid()(ms.tensor { -1, 0, 2 })
nn.tanh() -> module
  The hyperbolic tangent.
  > nn.tanh()(ms.tensor { -1, 0, 2 })
nn.tanhshrink() -> module
  x - tanh(x).
  > nn.tanhshrink()(ms.tensor { -1, 0, 2 })
nn.hardtanh([min_val = -1 [, max_val = 1]]) -> module
  x kept between the two.
  > nn.hardtanh()(ms.tensor { -3, 0, 2 })
nn.hardsigmoid() -> module
  A sigmoid of straight lines: x / 6 + 1/2 kept between 0 and 1.
  > nn.hardsigmoid()(ms.tensor { -3, 0, 3 })
nn.hardswish() -> module
  x hardsigmoid(x).
  > nn.hardswish()(ms.tensor { -3, 0, 3 })
nn.hardshrink([lambd = 0.5]) -> module
  x, 0 where |x| <= lambd.
  > nn.hardshrink()(ms.tensor { -1, 0.2, 2 })
nn.softshrink([lambd = 0.5]) -> module
  x moved by lambd towards 0, 0 where |x| <= lambd.
  > nn.softshrink()(ms.tensor { -1, 0.2, 2 })
nn.softplus([beta = 1 [, threshold = 20]]) -> module
  log(1 + exp(beta x)) / beta; x where beta x > threshold.
  > nn.softplus()(ms.tensor { -1, 0, 2 })
nn.softsign() -> module
  x / (1 + |x|).
  > nn.softsign()(ms.tensor { -1, 0, 2 })
nn.threshold(threshold, value) -> module
  x where x > threshold, else value.
  > nn.threshold(0, -1)(ms.tensor { -3, 2 })
nn.softmax([dim = -1]) -> module
  exp(x) / sum(exp(x)) along dim.
  > nn.softmax()(ms.zeros { 1, 4 })
nn.log_softmax([dim = -1]) -> module
  log(softmax(x)) along dim.
  > nn.log_softmax()(ms.zeros { 1, 4 })
nn.softmin([dim = -1]) -> module
  softmax(-x) along dim.
  > nn.softmin()(ms.zeros { 1, 4 })
nn.softmax2d() -> module
  softmax over the channels of N x C x H x W or C x H x W.
  > nn.softmax2d()(ms.zeros { 1, 2, 1, 1 })
nn.triplet_margin_with_distance(anchor, positive, negative [, { distance_function =, margin = 1, swap = false,
    reduction = "mean" }]) -> loss
  max(f(anchor, positive) - f(anchor, negative) + margin, 0), f the distance_function, which gives a distance for each pair (without one
  ms.pairwise_distance); swap: of f(anchor, negative) and f(positive, negative) the smaller.
  > nn.triplet_margin_with_distance(ms.randn { 4, 3 }, ms.randn { 4, 3 }, ms.randn { 4, 3 }).shape
nn.triplet_margin_with_distance_loss(anchor, positive, negative [, options]) -> loss
  nn.triplet_margin_with_distance by its other name.
  > nn.triplet_margin_with_distance_loss(ms.randn { 4, 3 }, ms.randn { 4, 3 }, ms.randn { 4, 3 }).shape
nn.register_parametrization(module, name, p [, { unsafe = false }]) -> module
  From now on module[name] is p(original), p a module; p(original0, original1, ...) if p:right_inverse(value), which gives the originals
  that
  make a value, gives several. A parameter may have several, one behind the other. p is called once, to see that it gives the parameter's
  shape and dtype; not with unsafe = true.
  > local m = nn.register_parametrization(nn.linear(2, 2), "weight", nn.lambda(function(w) return (w + w:t()) / 2 end))
  > m.weight:allclose(m.weight:t())
nn.remove_parametrizations(module, name [, { leave_parametrized = true }]) -> module
  module[name] is a parameter again, with the value that it has now; with leave_parametrized = false the original's.
  > nn.remove_parametrizations(nn.weight_norm(nn.linear(2, 2)), "weight")
nn.is_parametrized(module [, name]) -> is the parameter (any) of the module computed?
  > nn.is_parametrized(nn.weight_norm(nn.linear(2, 2)))
nn.weight_norm(module [, { name = "weight", dim = 1 }]) -> module
  weight = g v / |v|, the norm over all dimensions but dim (dim = false: over all); original0 is g, original1 is v (Salimans, Kingma 2016).
  > nn.weight_norm(nn.linear(3, 2))(ms.randn { 4, 3 }).shape
nn.spectral_norm(module [, { name = "weight", n_power_iterations = 1, eps = 1e-12, dim = 1 }]) -> module
  The weight is divided by its largest singular value, as the power method knows it: one more round each time the weight is looked at while
  training. The matrix: dimension dim (of transposed convolutions 2) against all others (Miyato et al. 2018).
  > nn.spectral_norm(nn.linear(3, 2))(ms.randn { 4, 3 }).shape
nn.init: initial values, in place and without gradients
  Names are PyTorch's. Each gives the tensor.
  > nn.init.orthogonal_(nn.linear(4, 4).weight).shape
nn.init.calculate_gain(nonlinearity [, param]) -> number
  The factor that keeps the variance behind it: sqrt(2) for "relu", 5/3 for "tanh", ...; param: the slope of "leaky_relu" (0.01).
  > nn.init.calculate_gain "relu"
nn.init.constant_(t, value) -> t
  Every element becomes value.
  > nn.init.constant_(ms.empty { 2 }, 3)
nn.init.zeros_(t) -> t
  Zeros.
  > nn.init.zeros_(ms.ones { 2 })
nn.init.ones_(t) -> t
  Ones.
  > nn.init.ones_(ms.zeros { 2 })
nn.init.normal_(t [, mean = 0 [, std = 1]]) -> t
  Normal random numbers.
  > nn.init.normal_(ms.empty { 2, 3 }, 0, 0.02).shape
nn.init.uniform_(t [, a = 0 [, b = 1]]) -> t
  Uniform random numbers from a to b.
  > nn.init.uniform_(ms.empty { 2, 3 }, -1, 1).shape
nn.init.trunc_normal_(t [, mean = 0 [, std = 1 [, a = -2 [, b = 2]]]]) -> t
  Normal random numbers, drawn again where they fall outside a..b.
  > nn.init.trunc_normal_(ms.empty { 100 }):amax():item() <= 2
nn.init.xavier_uniform_(t [, gain = 1]) -> t
  U(-k, k), k = gain sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010).
  > nn.init.xavier_uniform_(ms.empty { 3, 4 }).shape
nn.init.xavier_normal_(t [, gain = 1]) -> t
  N(0, s), s = gain sqrt(2 / (fan_in + fan_out)).
  > nn.init.xavier_normal_(ms.empty { 3, 4 }).shape
nn.init.kaiming_uniform_(t [, a = 0 [, mode = "fan_in" [, nonlinearity = "leaky_relu"]]]) -> t
  U(-k, k), k = gain sqrt(3 / fan) (He et al. 2015). a: slope of the leaky ReLU that follows; mode "fan_out" keeps the variance of
  gradients.
  > nn.init.kaiming_uniform_(ms.empty { 3, 4 }, 0, "fan_in", "relu").shape
nn.init.kaiming_normal_(t [, a = 0 [, mode = "fan_in" [, nonlinearity = "leaky_relu"]]]) -> t
  N(0, s), s = gain / sqrt(fan); otherwise as kaiming_uniform_.
  > nn.init.kaiming_normal_(ms.empty { 3, 4 }).shape
nn.init.orthogonal_(t [, gain = 1]) -> t
  Rows (or columns, where there are more rows) orthonormal, all such matrices equally likely, times gain (Saxe et al. 2013).
  > local w = nn.init.orthogonal_(ms.empty { 2, 4 })
  > (w:matmul(w:t())):allclose(ms.eye(2), { atol = 1e-5 })
nn.init.eye_(t) -> t
  1 on the diagonal of a matrix, 0 elsewhere.
  > nn.init.eye_(ms.empty { 2, 2 })
nn.init.dirac_(t [, groups = 1]) -> t
  A weight of a convolution (3 to 5 dimensions) that gives back its input.
  > nn.init.dirac_(ms.empty { 1, 1, 3 })
nn.init.sparse_(t, sparsity [, std = 0.01]) -> t
  A matrix from N(0, std), of each column of which the share `sparsity` is 0 (Martens 2010).
  > nn.init.sparse_(ms.empty { 4, 2 }, 0.5):count_nonzero()
m: a module
  What every module has, a layer of the library and a class of yours alike. m.training: is it in training mode? m(x): what it gives.
  > nn.linear(2, 2).training
m.training: is it in training mode? m:train() and m:eval() set it
  > nn.dropout():eval().training
m:forward(x): what a class of modules defines
  m(x) calls it, with the hooks. Call m(x).
  > nn.relu():forward(ms.tensor { -1, 2 })
m:init(...): what a class of modules defines: makes the layers of a new module
  > local Net = nn.class "Net"
  > function Net:init(k) self.k = nn.linear(1, k) end
  > Net(3).k.weight.shape
m:extra() -> text: what print shows of the layer's settings
  > nn.linear(2, 3):extra()
m:parameters() -> list of tensors
  Those that are trained, each once, in order; what optim takes.
  > #nn.sequential { nn.linear(2, 3), nn.linear(3, 1) }:parameters()
m:named_parameters(): for name, tensor in m:named_parameters() do
  > for name, p in nn.linear(2, 3):named_parameters() do print(name, p.shape) end
m:buffers() -> list of tensors that are not trained (running means)
  > #nn.batch_norm(3):buffers()
m:named_buffers(): for name, tensor in m:named_buffers() do
  > for name, b in nn.batch_norm(3):named_buffers() do print(name, b.shape) end
m:children() -> list of the modules directly below m
  > #nn.sequential { nn.relu(), nn.tanh() }:children()
m:named_children(): for name, module in m:named_children() do, the modules directly below m
  > for name, l in nn.sequential { nn.relu(), nn.tanh() }:named_children() do print(name, l) end
m:modules() -> list of m and all modules below it
  > #nn.sequential { nn.relu(), nn.tanh() }:modules()
m:named_modules(): for name, module in m:named_modules() do, m itself (its name is "") and all below
  > for name, l in nn.sequential { nn.relu() }:named_modules() do print(name, l) end
m:count() -> how many numbers its parameters hold
  > nn.linear(2, 3):count()
m:train([on = true]) -> m
  Training mode for it and all below: dropout drops, batch norm goes by the batch.
  > nn.dropout():train().training
m:eval() -> m
  Evaluation mode: m:train(false).
  > nn.dropout():eval().training
m:apply(f) -> m
  Calls f(module) for the modules below m, then for m.
  > nn.sequential { nn.linear(2, 2) }:apply(function(l) if l.weight then nn.init.zeros_(l.weight) end end)
m:requires_grad_([on = true]) -> m
  Whether its parameters are trained; false freezes them.
  > nn.linear(2, 2):requires_grad_(false).weight.requires_grad
m:zero_grad(): forgets the gradients of its parameters
  > nn.linear(2, 2):zero_grad()
m:clone() -> a module of its own with the same values (ms.deepcopy)
  > nn.linear(2, 2):clone()
m:to(dtype or device) -> m
  m:to "f64", m:to "cuda", m:to { dtype =, device = }: parameters and buffers are converted in place.
  > nn.linear(2, 2):to "f64".weight.dtype
m:register_buffer(name, tensor [, persistent = true])
  A tensor that is not trained and moves with the module; part of state_dict unless persistent = false. nn.buffer does it at an assignment.
  > local m = nn.linear(1, 1)
  > m:register_buffer("scale", ms.ones { 1 })
  > m.scale
m:state_dict([{ names = "mascon" }]) -> tensors by name
  Parameters and buffers, the module's own tensors; ms.save(path, m:state_dict()) writes them. names = "pytorch": PyTorch's names.
  > nn.linear(2, 3):state_dict().weight.shape
m:load_state_dict(state [, { strict = true, names = "mascon" }]) -> m
  Copies the values in: all, or none when something does not fit. strict = false: names may be missing or left over, which the second result
  tells (missing_keys, unexpected_keys). m:load_state_dict((ms.load(path))).
  > nn.linear(2, 3):load_state_dict(nn.linear(2, 3):state_dict())
m:register_forward_pre_hook(f [, { prepend = false }]) -> handle
  f(m, arguments) is called before forward with the list of arguments; what it gives takes their place.
  > nn.relu():register_forward_pre_hook(function(m, args) end)
m:register_forward_hook(f [, { prepend = false }]) -> handle
  f(m, arguments, result...) is called after forward; what it gives takes the result's place.
  > local m, seen = nn.relu(), nil
  > m:register_forward_hook(function(_, _, y) seen = y end)
  > m(ms.tensor { -1, 2 })
  > seen
m:register_full_backward_hook(f [, { prepend = false }]) -> handle
  f(m, grad_input, grad_output) is called in a backward pass when the gradients of its arguments are there.
  > nn.relu():register_full_backward_hook(function(m, grad_input, grad_output) end)
m:register_full_backward_pre_hook(f [, { prepend = false }]) -> handle
  f(m, grad_output) is called before that, when the gradients of its results are there.
  > nn.relu():register_full_backward_pre_hook(function(m, grad_output) end)
handle:remove(): the hook is not called any more
  `local handle <close> = m:register_forward_hook(f)` removes it at the end of the block.
  > nn.relu():register_forward_hook(print):remove()
list: nn.sequential, nn.module_list or nn.parameter_list
  list[1], list[-1], list[{ 2, 3 }] (a part), #list, ipairs(list); list[i] = m puts another one there.
  > #nn.sequential { nn.relu(), nn.tanh() }[{ 1, 1 }]
list:append(entry) -> list
  > nn.sequential { nn.linear(2, 2) }:append(nn.relu())
list:insert(place, entry) -> list
  > nn.sequential { nn.relu() }:insert(1, nn.linear(2, 2))
list:extend { a, b, ... } -> list
  > #nn.sequential { nn.relu() }:extend { nn.linear(2, 2), nn.tanh() }
list:pop([place = -1]) -> the entry, which is taken out; those behind it move up
  > nn.sequential { nn.relu(), nn.tanh() }:pop()
dict: nn.module_dict or nn.parameter_dict
  d.name, #d, d.name = m.
  > #nn.module_dict { a = nn.relu() }
dict:items(): for name, entry in d:items() do
  > for name, m in nn.module_dict { a = nn.relu() }:items() do assert(name == "a") end
dict:keys() -> list of names
  > nn.module_dict { a = nn.relu() }:keys()
dict:values() -> list of entries
  > #nn.module_dict { a = nn.relu() }:values()
dict:update { name = entry, ... } -> d
  > #nn.module_dict { a = nn.relu() }:update { b = nn.tanh() }
dict:pop(name) -> the entry, which is taken out
  > nn.module_dict { a = nn.relu() }:pop "a"
dict:clear(): takes all entries out
  > nn.module_dict { a = nn.relu() }:clear()
]==]
