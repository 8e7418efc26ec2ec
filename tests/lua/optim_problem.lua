-- The small problem of tests/peers/make_optim.py, whose values from PyTorch are in tests/data/optim.json.
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local problem = {}

local file <close> = assert(io.open("tests/data/optim.json"))
problem.data = json.decode(file:read "a")

local fraction = require("formula").fraction

-- An f64 tensor of this shape, the one with the number `seed`.
function problem.tensor(seed, shape)
  local flat, n = {}, 1
  for _, size in ipairs(shape) do n = n * size end
  for i = 0, n - 1 do flat[i + 1] = fraction(seed * 1000 + i) * 2 - 1 end
  return ms.tensor(flat, { dtype = "f64" }):view(shape)
end

function problem.parameters()
  local list = {}
  for k, shape in ipairs { { 4, 3 }, { 3, 5 }, { 3 }, { 2 } } do list[k] = problem.tensor(k, shape):requires_grad_() end
  return list
end

-- What goes in at step k, made once.
problem.batch = setmetatable({}, { __index = function(t, k)
  t[k] = { problem.tensor(10 + k, { 6, 4 }), problem.tensor(100 + k, { 6, 5 }) }
  return t[k]
end })

-- The loss for such a batch; with_last: the last parameter is in it.
function problem.loss_of(p, x, y, with_last)
  local loss = ((x:matmul(p[1]) + p[3]):tanh():matmul(p[2]) - y):square():sum() / 6
  return with_last and loss + (p[4] - 0.5):square():sum() or loss
end
function problem.loss(p, k) return problem.loss_of(p, problem.batch[k][1], problem.batch[k][2], k % 3 == 1) end

-- f64 values within 1e-9 of those in a list.
function problem.near(what, got, want)
  lu.assertEquals(#got, #want, what)
  for i, w in ipairs(want) do
    local close = math.abs(got[i] - w) <= 1e-9 * math.max(math.abs(w), 1)
    if not close then lu.fail(("%s: element %d: got %.17g, PyTorch gives %.17g"):format(what, i, got[i], w)) end
  end
end

return problem
