-- optim: optimizers, their learning rates' schedules, and what goes with them. Formulas, names, defaults and what is refused are PyTorch's.
--
--   local o = optim.adam(model:parameters(), { lr = 1e-3 })
--   o:zero_grad(); loss:backward(); o:step()
--   o.lr = o.lr / 2                                          -- checked, and seen by steps that are recorded
--   ms.save(file, o:state_dict())   o:load_state_dict(state)
--   optim.sgd({ { params = head, lr = 0.1 }, { params = body } }, { lr = 0.01, momentum = 0.9 }).groups[1].lr
--
-- What an optimizer is: optim/base.lua (settings.lua, state.lua). One: lion.lua is the shortest.
local names = require "mascon.names"
local base = require "mascon.optim.base"
require "mascon.optim.state"
local optim = { class = base.class }

for _, room in ipairs { "sgd", "adam", "rms", "lion", "muon", "lbfgs", "clip", "average" } do
  for name, f in pairs(require("mascon.optim." .. room)) do optim[name] = f end
end

optim.lr_scheduler = require "mascon.optim.lr_scheduler"

return names.guard(optim, "ms.optim")
