-- ResNet-18, built from nn (resnet.lua), against PyTorch's: the same weights, read by name from a file that PyTorch's own tools wrote
-- (tests/peers/make_resnet.py), give its results, loss, gradients and running statistics, eagerly and in a compiled step.
-- gcstress: every 5000
-- luacheck: globals TestResnet
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"
local ResNet = require "resnet"

TestResnet = {}

local file, about = ms.load "tests/data/resnet18.safetensors"
local steps = json.decode(about.steps)

local function part(prefix)
  local list = {}
  for name, t in pairs(file) do
    local rest = name:match("^" .. prefix .. "%.(.+)$")
    if rest then list[rest] = t end
  end
  return list
end

local function made()
  local net = ResNet(math.tointeger(tonumber(about.classes)), math.tointeger(tonumber(about.width)))
  return net:load_state_dict(part "state", { names = "pytorch" })
end

local x, labels = file.pixels:float() / 255 - 0.5, file.labels + 1

-- How far off, as a share of the largest element of what is wanted.
local function close(what, got, want)
  lu.assertEquals(got.shape, want.shape, what)
  local size = math.max(want:abs():amax():item(), 1e-3)
  local off = (got - want):abs():amax():item()
  if not (off <= 1e-4 * size) then lu.fail(("%s: %g off, largest %g"):format(what, off, size), 3) end
end

function TestResnet.test_results_without_training()
  local net = made():eval()
  close("eager", net(x), file.eval)
  local step = ms.compile(function(t) return net(t) end)
  for call = 1, 5 do close("call " .. call, step(x), file.eval) end
end

-- One training forward and backward of fresh weights, eagerly or compiled, several times: each must give what PyTorch gives.
local function trains(what, wrap, calls)
  local net = made():train()
  local names, list = {}, {}
  for name, p in net:named_parameters() do
    names[#names + 1] = name:gsub("%.(%d+)%.", function(n) return "." .. math.tointeger(n) - 1 .. "." end) -- PyTorch counts from 0
    list[#list + 1] = p
  end
  lu.assertEquals(#list, 62)
  local run = wrap(function(images, classes)
    local y = net(images)
    local loss = ms.nn.cross_entropy(y, classes)
    return y, loss, ms.grad(loss, list)
  end)
  for call = 1, calls do
    local where = ("%s, call %d: "):format(what, call)
    net:load_state_dict(part "state", { names = "pytorch" }) -- the running statistics, too
    local y, loss, grads = run(x, labels)
    close(where .. "results", y:detach(), file.train)
    close(where .. "loss", loss:detach():reshape { 1 }, file.loss)
    for k, g in ipairs(grads) do
      local flat = g:detach():reshape { -1 }
      local kept = flat:index_select(1, ms.arange(1, #flat, steps[names[k]], { dtype = "i64" }))
      close(where .. "gradient of " .. names[k], kept, file["grad." .. names[k]])
    end
    local after = net:state_dict { names = "pytorch" }
    for name, t in pairs(part "after") do close(where .. name, after[name], t) end
  end
  print(("compared: PyTorch's ResNet-18, %s: %d gradients"):format(what, #list))
end

function TestResnet.test_training() trains("eager", function(f) return f end, 1) end
function TestResnet.test_training_compiled() trains("compiled", ms.compile, 5) end
