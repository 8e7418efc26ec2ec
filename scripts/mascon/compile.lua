-- compile: recorded steps. Not in this version yet.
local options = require "mascon.options"
return function()
  options.raise "ms.compile: recorded steps are not in this version yet; call the function as it is"
end
