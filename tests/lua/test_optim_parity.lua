-- 50 steps of every optimizer, L-BFGS, clipping and moving averages against what PyTorch gives in f64 (tests/data/optim.json, made by
-- tests/peers/make_optim.py): parameters within 1e-9.
-- gcstress: every 400
-- luacheck: globals TestOptimParity
local lu = require "luaunit"
local ms = require "mascon"
local problem = require "optim_problem"
local optim, data, near, parameters, batch = ms.optim, problem.data, problem.near, problem.parameters, problem.batch

local function all_near(what, p, want)
  for k, t in ipairs(p) do near(("%s, parameter %d"):format(what, k), t:detach():flatten():totable(), want[k]) end
end

local function describe(case)
  local parts = {}
  for k, v in pairs(case.options) do parts[#parts + 1] = ("%s=%s"):format(k, type(v) == "table" and table.concat(v, ",") or tostring(v)) end
  table.sort(parts)
  return case.name .. "(" .. table.concat(parts, " ") .. ")" .. (case.groups and " in groups" or "")
end

local function make(case, p)
  if not case.groups then return optim[case.name](p, case.options) end
  local groups = {}
  for k, g in ipairs(case.groups) do
    groups[k] = { params = {} }
    for name, v in pairs(g.options) do groups[k][name] = v end
    for i, place in ipairs(g.places) do groups[k].params[i] = p[place] end
  end
  return optim[case.name](groups, case.options)
end

-- 50 steps; kept: step -> the parameters after it, or nil where only the bits are wanted.
local function run(case, compiled, kept)
  local p = parameters()
  local o = make(case, p)
  local function step_c(x, y, with_c) -- a step on one batch; with_c: c is in the loss
    for _, t in ipairs(p) do t.grad = nil end
    problem.loss_of(p, x, y, with_c):backward()
    o:step()
  end
  local step = compiled and ms.compile(step_c) or step_c
  for k = 1, 50 do
    step(batch[k][1], batch[k][2], k % 3 == 1)
    if kept and kept[tostring(k)] then all_near(("%s, step %d"):format(describe(case), k), p, kept[tostring(k)]) end
  end
  return p, compiled and step
end

TestOptimParity = {}

local per_name, names = {}, 0
for i, case in ipairs(data.cases) do
  if not per_name[case.name] then names = names + 1 end
  per_name[case.name] = (per_name[case.name] or 0) + 1
  TestOptimParity[("test_%s_%d"):format(case.name, i)] = function()
    lu.assertNotNil(case.kept["50"])
    local eager = run(case, false, case.kept)
    local compiled, step = run(case, true)
    for k, t in ipairs(eager) do lu.assertEquals(compiled[k]:totable(), t:totable(), "compiled, parameter " .. k) end
    lu.assertStrContains(step:report(), "replayed")
  end
end

-- Steps of L-BFGS on one batch; losses, and how often it moved and asked.
for i, case in ipairs(data.lbfgs) do
  TestOptimParity[("test_lbfgs_%d"):format(i)] = function()
    local p = parameters()
    local o = optim.lbfgs(p, case.options)
    for step, want in ipairs(case.losses) do
      local loss = o:step(function()
        o:zero_grad()
        local l = problem.loss(p, 1)
        l:backward()
        return l
      end)
      near(("L-BFGS %d, loss %d"):format(i, step), { loss:item() }, { want })
      all_near(("L-BFGS %d, step %d"):format(i, step), p, case.kept[tostring(step)])
    end
    local state = o:state_dict()
    lu.assertEquals({ state.n_iter:item(), state.func_evals:item() }, { case.iterations, case.evals })
  end
end

function TestOptimParity.test_what_is_compared_is_told()
  lu.assertTrue(names >= 11)
  print(("compared: PyTorch's values of optimizers: %d optimizers, %d cases of 50 steps, eager and compiled; L-BFGS in %d, clipping in "
    .. "%d, averages of weights in %d"):format(names, #data.cases, #data.lbfgs, #data.clipping, #data.averages))
end
