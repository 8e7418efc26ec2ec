-- mascon tests/lua/write_safetensors.lua FILE: the model of tests/data/safetensors/net.safetensors, read and written again with PyTorch's
-- names. tests/peers/make_safetensors.py shows the file to PyTorch; test_safetensors.lua looks whether it is still written so.
local ms = require "mascon"
local nn = ms.nn

local Net = nn.class "Net"
function Net:init()
  self.body = nn.sequential { nn.conv2d(1, 2, 3, { padding = 1 }), nn.batch_norm2d(2), nn.relu(),
    nn.sequential { nn.max_pool2d(2), nn.conv2d(2, 3, 2, { bias = false }) } }
  self.head = nn.linear(3, 4)
end
function Net:forward(x) return self.head(self.body(x):flatten(2)) end

local function net() return Net():load_state_dict((ms.load "tests/data/safetensors/net.safetensors"), { names = "pytorch" }) end
local function write(path) ms.save(path, net():state_dict { names = "pytorch" }) end
if arg and arg[0] and arg[0]:find "write_safetensors" then write(arg[1]) end
return { net = net, new = Net, write = write }
