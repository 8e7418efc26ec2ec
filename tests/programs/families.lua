-- families: spices (spices.lua) that are families of operations.
local base = require "programs.base"
local from_rows = require "programs.from_rows"
local Draw = require "programs.draw"
local spices = {}

spices.images = {
  setup = function(d)
    d:argument(("num(600 + call, { 2, 2, 4, 4 }, %q)"):format(d.dtype))
    d:captured { 2, 2, 3, 3 }
  end,
  kinds = {
    { 4, from_rows.of { "conv2d", "conv_transpose2d", "avg_pool2d", "max_pool2d", "interpolate", "batch_norm", "conv2d_input_grad" } },
    { 6, function(d)
      local x = d:tensor(function(t) return t.dtype == d.dtype and #t.shape == 4 and t.shape[3] >= 3 and t.shape[4] >= 3 end)
      if not x then return end
      local c = d.env[x].shape[2]
      local e = d:pick { "ms.conv2d(%x, %w, %b, { padding = 1 })", "ms.conv2d(%x, %v)", "ms.avg_pool2d(%x, 2)", "(ms.max_pool2d(%x, 2))",
        "%x:relu()", "ms.conv2d(%x, %u):relu()", "ms.avg_pool2d(ms.conv2d(%x, %w, %b, { padding = 1 }), 2)",
        "ms.batch_norm(%x, { training = true })",
        "ms.interpolate(%x, { 6, 5 }, { mode = %m })", "ms.conv2d(ms.interpolate(%x, { %h, %i }), %w, { padding = 1 })" }
      local h, w = d.env[x].shape[3], d.env[x].shape[4]
      return d:body(Draw.fill(e, { x = x, w = d:fit { 2, c, 3, 3 }, b = d:fit { 2 }, v = d:fit { 3, c, 2, 2 }, u = d:fit { 2, c, 1, 1 },
        h = 2 * h, i = 2 * w, m = ("%q"):format(d:pick { "nearest", "bilinear", "bicubic" }) }))
    end },
  },
}

spices.indexing = { kinds = { { 6, from_rows.of { "index_select", "index_add", "gather", "scatter_add", "one_hot", "masked_fill", "cat",
  "stack", "sort", "topk", "argmax", "max", "unslice", "flip" } } } }
spices.losses = { kinds = { { 6, from_rows.of { "mse_loss", "l1_loss", "bce_loss", "bce_with_logits", "nll_loss",
  "cross_entropy", "softmax", "log_softmax", "standardize", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss",
  "sigmoid_focal_loss", "hinge_embedding_loss", "cosine_embedding_loss", "triplet_margin_loss", "multi_margin_loss",
  "multilabel_margin_loss", "cosine_similarity", "pairwise_distance", "normalize", "ssim_loss" } } } }
-- Whole numbers and booleans, with numbers handed in beside them.
local function whole_numbers(d)
  local x = d:tensor(function(t) return not t.dtype:find "^f" end)
  if not x then return end
  local y = d:chance(0.5) and d:tensor(function(t) return t.dtype:find "^i" end) or tostring(d:pick { 2, 3, -1, 7 })
  if #d.numbers > 0 and d:chance(0.4) then y = d:pick(d.numbers) end
  local e = d:pick { "%x * %y", "%x + %y", "%y - %x", "%x // 3", "%x % 3", "%x:eq(%y)", "%x:gt(%y)",
    "%x:sum()", "%x:cumsum(1)", "%x:to(%d)",
    "%x:to(%d) * %y", "ms.where(%x:gt(1), %x, %y)", "ms.maximum(%x, %y)", "%x:clamp(1, 3)", "%x:neg()", "%x:amax()", "%x:flip { 1 }", "-%x",
    "%x:logical_not()", "%x:any()", "%x:all(1)", "%x:argmax(1)", '%x:to "u8"', '%x:to "i32"', "%x:mean()", "%x ^ 2", "%x / 2" }
  if d:chance(0.2) then return d:act(("%s:%s(%s)"):format(x, d:pick { "add_", "mul_", "sub_", "maximum_" }, y)) end
  return d:body((Draw.fill(e, { x = x, y = y, d = ("%q"):format(d.dtype) }):gsub("%%%%", "%%")))
end
spices.integers = {
  setup = function(d)
    d:make(("whole(70, 5, %s)"):format(Draw.list(d:shape())))
    d:argument(("whole(71 + call, 4, { %d, %d }):to(%q)"):format(d.m, d.n, d:pick { "i64", "i64", "i32", "u8", "bool" }))
    if d:chance(0.6) then d.numbers[#d.numbers + 1] = d:argument(d:pick { "call", "(call % 3)", "2", "call / 2" }, "n") end
  end,
  kinds = { { 12, whole_numbers } },
}

spices.rows = { kinds = { { 12, from_rows.any } } }
spices.chains = { kinds = { { 12, base.chain }, { 6, base.matmul }, { 5, base.in_place } } }
spices.products = { kinds = { { 8, base.matmul }, { 4, base.gate }, { 5, base.chain }, { 3, base.in_place } } }
spices.slices = { kinds = { { 10, base.view }, { 4, base.in_place } } }
spices.repetition = { kinds = { { 6, base.again }, { 5, base.in_place }, { 4, base.changed_again } } }
spices.empty = { setup = function(d) d:argument(("ms.zeros({ %s }, { dtype = %q })"):format(d:pick { "0", "0, 3", "2, 0" }, d.dtype)) end }

return spices
