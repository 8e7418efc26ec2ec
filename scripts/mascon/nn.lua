-- nn: modules. A module is a Lua table whose class says how it goes forward; what it holds is found by what was assigned to it.
--
--   local Net = nn.class "Net"
--   function Net:init(k) self.first = nn.linear(784, k) end     -- modules and tensors with requires_grad register themselves
--   function Net:forward(x) return self.first(x):relu() end
--   local net = Net(8)                                         -- net(x), net:parameters(), print(net)
--
-- Modules are Lua, not C: a layer of the library and a class of the user's are the same thing, and forward is a Lua call either way. The
-- arithmetic is operations (runtime/ops.def); names and defaults are PyTorch's.
--
-- nn/module.lua says what a module is, the files beside it are its methods; layers/ has the layers: each file is found and run, and makes
-- its layers with layers/kit.lua.
local ms = require "mascon"
local names = require "mascon.names"
local nn = require "mascon.nn.module".nn
require "mascon.nn.methods"
require "mascon.nn.state"
require "mascon.nn.print"
require "mascon.nn.hooks"
require "mascon.nn.parametrize"
nn.init = require "mascon.nn.init"

for _, name in ipairs(ms.source()) do
  if name:find "^layers%." then require("mascon." .. name) end
end

return names.guard(nn, "ms.nn")
