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
        "%x:relu()", "ms.conv2d(%x, %u):relu()", "ms.avg_pool2d(ms.conv2d(%x, %w, %b, { padding = 1 }), 2)", "ms.batch_norm(%x)",
        "ms.interpolate(%x, { 6, 5 }, %m)", "ms.conv2d(ms.interpolate(%x, { %h, %i }), %w, { padding = 1 })" }
      local h, w = d.env[x].shape[3], d.env[x].shape[4]
      return d:body(Draw.fill(e, { x = x, w = d:fit { 2, c, 3, 3 }, b = d:fit { 2 }, v = d:fit { 3, c, 2, 2 }, u = d:fit { 2, c, 1, 1 },
        h = 2 * h, i = 2 * w, m = ("%q"):format(d:pick { "nearest", "bilinear", "bicubic" }) }))
    end },
  },
}

spices.indexing = { kinds = { { 6, from_rows.of { "index_select", "index_add", "gather", "scatter_add", "one_hot", "masked_fill", "cat",
  "stack", "sort", "topk", "argmax", "max", "unslice", "flip" } } } }
spices.losses = { kinds = { { 6, from_rows.of { "mse_loss", "l1_loss", "bce_loss", "bce_with_logits", "nll_loss",
  "cross_entropy", "softmax", "log_softmax", "normalize" } } } }
spices.rows = { kinds = { { 12, from_rows.any } } }
spices.chains = { kinds = { { 12, base.chain }, { 6, base.matmul }, { 5, base.in_place } } }
spices.products = { kinds = { { 8, base.matmul }, { 4, base.gate }, { 5, base.chain }, { 3, base.in_place } } }
spices.slices = { kinds = { { 10, base.view }, { 4, base.in_place } } }
spices.repetition = { kinds = { { 6, base.again }, { 5, base.in_place }, { 4, base.changed_again } } }
spices.empty = { setup = function(d) d:argument(("ms.zeros({ %s }, { dtype = %q })"):format(d:pick { "0", "0, 3", "2, 0" }, d.dtype)) end }

return spices
