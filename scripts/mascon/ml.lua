-- ml: classical learning. Estimators are made with options, fitted to samples, then asked:
--
--   local forest = ml.random_forest { trees = 100 }:fit(codes, labels)
--   print(ml.accuracy(forest:predict(test_codes), test_labels))
--
-- Samples X: floats, N x d, or N x anything, which is flattened; f32 inside. Labels y: whole numbers from 1, one per sample. What is
-- computed runs on the CPU; results are where X is. The same data, options and seed give the same model whatever the number of threads.
-- Names and defaults are scikit-learn's where they are short. Every estimator has state_dict() and load_state_dict(state), for ms.save and
-- ms.load; what a loaded one predicts is what the saved one did.
--
-- The files in ml/ are found and run; each returns the functions that it adds. ml/kit.lua has what estimators share.
local ms = require "mascon"
local names = require "mascon.names"
local ml = {}

for _, module in ipairs(ms.source()) do
  if module:find "^ml%." and module ~= "ml.kit" then
    for name, f in pairs(require("mascon." .. module)) do
      assert(ml[name] == nil, name)
      ml[name] = f
    end
  end
end

return names.guard(ml, "ms.ml")
