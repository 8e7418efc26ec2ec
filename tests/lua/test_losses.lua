-- What the options of losses mean, and which targets are refused. Values are compared with PyTorch's in test_parity.lua (families
-- losses and margins), derivatives with differences in test_gradients.lua.
-- gcstress: every 20
-- luacheck: globals TestLosses TestLossErrors TestLossRows
local lu = require "luaunit"
local ms = require "mascon"
local checks = require "checks"
local rows = require "rows"
local nn, fails = ms.nn, checks.fails

local function labels(...) return ms.tensor({ ... }, { dtype = "i64" }) end
local function near(got, want) lu.assertAlmostEquals(got:item(), want, 1e-6) end

TestLosses = {}

function TestLosses.test_a_loss_by_its_short_and_its_long_name()
  for _, name in ipairs { "mse", "l1", "smooth_l1", "huber", "bce", "nll", "hinge_embedding", "triplet_margin", "sigmoid_focal" } do
    lu.assertEquals(nn[name], nn[name .. "_loss"])
    lu.assertEquals(nn[name], ms[name .. "_loss"])
  end
  near(nn.ssim(ms.ones { 1, 12, 12 }, ms.ones { 1, 12, 12 }), 1)
  near(nn.ssim_loss(ms.ones { 1, 12, 12 }, ms.ones { 1, 12, 12 }), 0)
end

function TestLosses.test_help_tells_every_argument()
  for _, name in ipairs { "huber_loss", "nn.huber" } do
    local text = ms.help(name)
    for _, line in ipairs { "ms.huber_loss(x, target [, { reduction = \"mean\", delta = 1, weight = }])", "mean | sum | none, default mean",
      "delta  ",
      ", default 1", "weight ", ", may be left out" } do
      lu.assertStrContains(text, line)
    end
  end
  lu.assertStrContains(ms.help "leaky_relu", ", default 0.01")
end

function TestLosses.test_reductions()
  local x, t = ms.tensor { 1, 2, 4 }, ms.tensor { 1, 1, 1 }
  lu.assertEquals(nn.mse(x, t, "none"):totable(), { 0, 1, 9 })
  near(nn.mse(x, t, "sum"), 10)
  near(nn.mse(x, t, { weight = ms.tensor { 0, 3, 1 } }), (3 + 9) / 4) -- a weighted mean
  near(nn.huber(x, t, { weight = ms.tensor { 0, 3, 1 } }), (1.5 + 2.5) / 3) -- the mean of what is weighted
  near(nn.kl_div(ms.zeros { 2, 3 }, ms.ones { 2, 3 }, "batchmean"), 0)
end

function TestLosses.test_ignored_labels_count_for_nothing()
  local x = ms.tensor { { 1, 2, 3 }, { 3, 2, 1 }, { 0, 0, 0 } }
  local two = nn.cross_entropy(x[{ { 1, 2 } }], labels(1, 2))
  for _, other in ipairs { 0, -100, 3 } do near(nn.cross_entropy(x, labels(1, 2, other), { ignore_index = other }), two:item()) end
  local each = nn.cross_entropy(x, labels(1, 2, 0), "none", { ignore_index = 0 })
  lu.assertEquals(each[3]:item(), 0)
  local none = nn.cross_entropy(x, labels(0, 0, 0), { ignore_index = 0 }):item()
  lu.assertTrue(none ~= none) -- 0 / 0, as in PyTorch
end

function TestLosses.test_an_ignored_row_gives_no_gradient_even_where_it_is_infinite()
  local x = ms.tensor({ { -1, -2, -3 }, { -math.huge, -1, -1 } }, { requires_grad = true })
  local loss = nn.nll(x, labels(2, 0), { ignore_index = 0 })
  near(loss, 2)
  lu.assertEquals(ms.grad(loss, x):totable(), { { 0, -1, 0 }, { 0, 0, 0 } })
end

function TestLosses.test_probabilities_as_targets()
  ms.seed(1)
  local x, y = ms.randn { 4, 5 }, labels(5, 1, 3, 3)
  near(nn.cross_entropy(x, ms.one_hot(y, 5)), nn.cross_entropy(x, y):item())
  local smooth = { label_smoothing = 0.2 }
  near(nn.cross_entropy(x, ms.one_hot(y, 5), smooth), nn.cross_entropy(x, y, smooth):item())
end

function TestLosses.test_images_of_labels_and_a_single_sample()
  ms.seed(2)
  local x, y = ms.randn { 2, 3, 4, 5 }, ms.randint(1, 3, { 2, 4, 5 })
  local flat = nn.cross_entropy(x:permute { 1, 3, 4, 2 }:reshape { 40, 3 }, y:reshape { 40 }, "none")
  lu.assertEquals(nn.cross_entropy(x, y, "none"):reshape { 40 }:totable(), flat:totable())
  lu.assertEquals(nn.cross_entropy(x, y, "none").shape, { 2, 4, 5 })
  near(nn.cross_entropy(x[1]:select(2, 1):select(2, 1), y[{ 1, 1, 1 }]), flat[1]:item())
end

function TestLosses.test_a_list_of_labels_ends_at_0()
  local x = ms.tensor { 0.1, 0.2, 0.4, 0.8 } -- PyTorch's example; its target is 3, 0, -1, 1
  near(nn.multilabel_margin(x, labels(4, 1, 0, 2)), 0.85)
end

function TestLosses.test_a_distance_of_ones_own()
  local function first(a, b) return (a - b):select(2, 1):abs() end
  local a, p, n = ms.tensor { { 0, 9 } }, ms.tensor { { 1, 8 } }, ms.tensor { { 0.5, 0 } }
  near(nn.triplet_margin_with_distance(a, p, n, { distance_function = first }), 1.5)
  near(nn.triplet_margin_with_distance(a, p, n, { distance_function = first, swap = true, margin = 2, reduction = "sum" }), 2.5)
  near(nn.triplet_margin_with_distance(a, p, n), nn.triplet_margin(a, p, n):item())
end

function TestLosses.test_ssim_of_a_long_image()
  ms.seed(4)
  local x, y = ms.rand({ 1, 1, 1030, 12 }, { dtype = "f64" }):requires_grad_(), ms.rand({ 1, 1, 1030, 12 }, { dtype = "f64" })
  local function part(first, last) return ms.ssim(x[{ {}, {}, { first, last } }], y[{ {}, {}, { first, last } }]) end
  local whole, halves = ms.ssim(x, y), (part(1, 520) + part(511, 1030)) / 2 -- 1020 places of the window: 510 and 510
  lu.assertAlmostEquals(whole:item(), halves:item(), 1e-13)
  lu.assertTrue((ms.grad(whole, x) - ms.grad(halves, x)):abs():max():item() < 1e-13)
  lu.assertAlmostEquals(ms.ssim(x:transpose(3, 4), y:transpose(3, 4)):item(), whole:item(), 1e-13)
end

function TestLosses.test_in_a_replay()
  ms.seed(3)
  local w = ms.randn({ 6, 4 }, { requires_grad = true })
  local function image(v) return v:reshape { 1, 6, 4 } end
  local function loss(x, y)
    w.grad = nil
    local l = nn.cross_entropy(x:matmul(w), y, { label_smoothing = 0.1, ignore_index = 0 }) + nn.smooth_l1(w, w * 0.5)
      + nn.multi_margin(x:matmul(w), y:clamp(1, 4)) + nn.ssim_loss(image(w), image(x[{ { 1, 4 } }]), { window_size = 3 })
    l:backward()
    return l, w.grad
  end
  local step = ms.compile(loss)
  for k = 1, 6 do
    local x, y = ms.randn { 5, 6 }, labels(k % 5, 1, 2, 3, 4)
    local l, g = step(x, y)
    local want, slope = loss(x, y)
    near(l, want:item())
    lu.assertTrue((g - slope):abs():max():item() < 1e-5)
  end
end

TestLossErrors = {}

function TestLossErrors.test_shapes()
  for _, name in ipairs { "mse", "l1", "smooth_l1", "huber", "kl_div", "poisson_nll", "bce", "bce_with_logits", "sigmoid_focal",
    "soft_margin", "hinge_embedding", "multilabel_soft_margin", "cosine_embedding", "ssim", "ssim_loss" } do
    local third = name == "cosine_embedding" and ms.ones { 3 } or nil
    fails("expected equal shapes", nn[name], ms.ones { 3, 1 }, ms.ones { 3 }, third)
  end
  fails("gaussian_nll_loss: var is 4 f32, x 3 x 2 f32", nn.gaussian_nll, ms.ones { 3, 2 }, ms.ones { 3, 2 }, ms.ones { 4 })
  fails("mse_loss: x is 3 f32, weight 2 f32; expected equal shapes", nn.mse, ms.ones { 3 }, ms.ones { 3 }, { weight = ms.ones { 2 } })
  fails("bce_loss: weight is 2 f32, which does not broadcast to x", nn.bce, ms.ones { 3 }, ms.ones { 3 }, { weight = ms.ones { 2 } })
  fails("cross_entropy: weight is 2 f32, expected one for each of 3 classes", nn.cross_entropy, ms.ones { 1, 3 }, labels(1),
    { weight = ms.ones { 2 } })
  fails("cosine_embedding_loss: x1 is 3 x 2 f32, target 2 f32", nn.cosine_embedding, ms.ones { 3, 2 }, ms.ones { 3, 2 }, ms.ones { 2 })
  fails("ssim: x is 1 x 8 x 8 f32, smaller than the window of 11 x 11", nn.ssim, ms.ones { 1, 8, 8 }, ms.ones { 1, 8, 8 })
end

function TestLossErrors.test_labels()
  local x = ms.ones { 2, 3 }
  for _, name in ipairs { "cross_entropy", "nll", "multi_margin" } do
    local row = name == "cross_entropy" and name or name .. "_loss"
    fails(row .. ": target[2] = 0, expected 1..3", nn[name], x, labels(1, 0))
    fails(row .. ": target[1] = 4, expected 1..3", nn[name], x, labels(4, 1))
    fails("expected integers", nn[name], x, ms.ones { 2 })
  end
  fails("target[2] = -1, expected 1..3", nn.multilabel_margin, ms.ones { 3 }, labels(1, -1, 0))
  fails("target[2] = 4, expected 1..3", nn.cross_entropy, x, labels(-7, 4), { ignore_index = -7 })
  fails("cross_entropy: ignore_index is for labels", nn.cross_entropy, x, x, { ignore_index = 1 })
  fails("cross_entropy: target is 3 i64; for x, 2 x 3 f32, expected labels of shape 2", nn.cross_entropy, x, labels(1, 1, 1))
end

function TestLossErrors.test_numbers()
  local x = ms.ones { 2, 3 }
  fails("cross_entropy: label_smoothing = 1.5, expected 0..1", nn.cross_entropy, x, labels(1, 1), { label_smoothing = 1.5 })
  fails("huber_loss: delta = 0, expected more than 0", nn.huber, x, x, { delta = 0 })
  fails("smooth_l1_loss: beta = -1, expected 0 or more", nn.smooth_l1, x, x, { beta = -1 })
  fails("multi_margin_loss: p = 3, expected 1 or 2", nn.multi_margin, x, labels(1, 1), 3)
  fails("triplet_margin_loss: margin = 0, expected more than 0", nn.triplet_margin, x, x, x, 0)
  fails("sigmoid_focal_loss: alpha = 2, expected 0..1", nn.sigmoid_focal, x, x, 2)
  fails("reduction: expected mean, sum or none, got 'most'", nn.triplet_margin_with_distance, x, x, x, { reduction = "most" })
end

function TestLossErrors.test_the_names_of_pytorchs_classes_lead_here()
  for foreign, ours in pairs { CrossEntropyLoss = "cross_entropy", KLDivLoss = "kl_div", BCEWithLogitsLoss = "bce_with_logits",
    SmoothL1Loss = "smooth_l1_loss", HingeEmbeddingLoss = "hinge_embedding_loss", MultiLabelSoftMarginLoss = "multilabel_soft_margin_loss",
    GaussianNLLLoss = "gaussian_nll_loss", TripletMarginLoss = "triplet_margin_loss", SSIM = "ssim", CosineSimilarity = "cosine_similarity",
    TripletMarginWithDistanceLoss = "triplet_margin_with_distance_loss", NLLLoss = "nll", L1Loss = "l1_loss",
    PoissonNLLLoss = "poisson_nll_loss" } do
    fails("did you mean ms.nn." .. ours .. "?", function() return nn[foreign] end)
  end
end

-- ---- each row of losses on its samples ----------------------------------------------------------------------------------------

TestLossRows = {}

local loss_rows = {}
for _, row in ipairs(rows.all) do
  if row.name:find "_loss$" or row.name == "cross_entropy" or row.name == "kl_div" or row.name == "bce_with_logits" or row.name:find "^ssim"
    or row.name == "cosine_similarity" or row.name == "pairwise_distance" or row.name == "normalize" then
    loss_rows[#loss_rows + 1] = row
  end
end

-- The same values, the last dimension lying farthest apart.
local function strided(t)
  if t:dim() < 2 then return ms.stack({ t, t }, -1):select(-1, 1) end
  return t:transpose(1, -1):contiguous():transpose(1, -1)
end

local function largest_difference(a, b)
  if a:numel() == 0 then return 0 end
  return (a:detach():double() - b:detach():double()):abs():max():item()
end

function TestLossRows.test_strided_operands_give_the_same()
  lu.assertTrue(#loss_rows >= 26)
  for _, row in ipairs(loss_rows) do
    for _, args in ipairs(rows.cases(row, "f64")) do
      local want = rows.call(row, args)
      rows.each_tensor(args, function(t, at, key) at[key] = strided(t) end)
      lu.assertTrue(largest_difference(rows.call(row, args), want) < 1e-12, args.label)
    end
  end
end

function TestLossRows.test_dtypes_stay_and_halves_are_near()
  for _, row in ipairs(loss_rows) do
    local wide = rows.cases(row, "f64")
    for dtype, near_to in pairs { f32 = 1e-5, bf16 = 0.15, f16 = 0.02 } do
      for k, args in ipairs(rows.cases(row, dtype)) do
        local got, want = rows.call(row, args), rows.call(row, wide[k])
        local what = args.label .. " in " .. dtype
        lu.assertEquals(got.dtype, dtype, what)
        lu.assertEquals(got.shape, want.shape, what)
        lu.assertTrue(largest_difference(got, want) <= near_to * (1 + want:abs():max():item()), what)
      end
    end
  end
end

function TestLossRows.test_nan_is_not_hidden()
  local nan = 0 / 0
  for _, row in ipairs(loss_rows) do
    local args = rows.cases(row, "f64")[1]
    args[1] = args[1]:clone()
    if row.name ~= "bce_loss" then -- refuses it
      args[1]:fill_(nan)
      local y = rows.call(row, args)
      lu.assertTrue(y:isnan():all():item(), row.name)
    end
  end
end

function TestLossRows.test_one_element()
  local x, y = ms.full({ 1 }, 0.25), ms.full({ 1 }, 0.75)
  for _, reduction in ipairs { "mean", "sum", "none" } do
    near(nn.mse(x, y, reduction):sum(), 0.25)
    near(nn.l1(x, y, reduction):sum(), 0.5)
    near(nn.huber(x, y, reduction):sum(), 0.125)
    near(nn.cross_entropy(x:reshape { 1, 1 }, labels(1), reduction):sum(), 0)
    near(nn.margin_ranking(x, y, ms.ones { 1 }, { reduction = reduction }):sum(), 0.5)
    near(nn.multi_margin(x:reshape { 1, 1 }, labels(1), { reduction = reduction }):sum(), 0)
    near(nn.ssim(x:reshape { 1, 1, 1 }, x:reshape { 1, 1, 1 }, reduction, { window_size = 1 }):sum(), 1)
  end
  near(nn.mse(x:squeeze(), y:squeeze()), 0.25) -- rank 0
  near(nn.kl_div(x:squeeze(), y:squeeze(), "batchmean"), 0.75 * math.log(0.75) - 0.75 * 0.25)
end
