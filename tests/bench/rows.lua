-- The rows of the table: what is measured against whom, and the bar.
--
--   case     the workload's name in the servers         label    the row's, where another
--   ours     mascon's side (default "compiled")         peers    only those whose name begins so (default: all that have the case)
--   check    losses compared before anything is timed   tol      how far they may be apart, relative
--   first    what a compiler costs is of interest: the time to the losses that are compared is told for each side
--   bar      least (time of the fastest peer) / (time of mascon); most = a bar in ms instead
--   rounds   at most so many
--   loose    a peer that is farther off does something else, and is left out with a note; otherwise that is a failure
--   ml       the peers are the libraries of tests/peers/bench_ml.py (set below for all cases "ml ...")
local rows = {
  { case = "W1", what = "MLP 784-512-10, batch 256, SGD", check = 5, tol = 1e-4, bar = 1.4 },
  { case = "W2", what = "AE 784-128-64-32-8, batch 64, Adam", check = 5, tol = 1e-4, bar = 2 },
  { case = "W3", what = "AE 784-256-128, batch 1024, momentum", check = 5, tol = 1e-4, bar = 1.15 },
  -- At loss 4 PyTorch's f32 is 2e-5 to 1e-4 off its own f64 (sums over 1024 images); mascon and JAX are within 1e-7 of that.
  { case = "W4", what = "conv AE 1-16-8-4, batch 1024, momentum", check = 3, tol = 1e-4, bar = 4 },
  -- Adam makes whole steps of gradients that are zero but for rounding: PyTorch with and without channels_last differs by 7e-4 at loss 3.
  { case = "W5", what = "27-layer CAE, batch 64, Adam", check = 2, tol = 2e-4, bar = 1.4 },
  { case = "W6 critic", what = "WGAN-GP critic step, batch 8", check = 3, first = true, tol = 1e-3, bar = 1.6 },
  { case = "W6 generator", what = "WGAN-GP generator step, batch 8", check = 3, first = true, tol = 1e-3, bar = 1.6 },
  { case = "W7", what = "MLP 3072-100-100-10 with batch norm, batch 64", check = 5, tol = 1e-4, bar = 2.1 },
  { case = "W1", label = "W1 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 3, tol = 0.02, bar = 2 },
  { case = "W3", label = "W3 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 3, tol = 0.02, bar = 2 },
  { case = "W5", label = "W5 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 2, tol = 0.02, bar = 2 },
  { case = "W2", label = "W2 eager", ours = "eager", peers = { "torch", "torch tuned" }, what = "eager against eager", bar = 1.5 },
  { case = "W7", label = "W7 eager", ours = "eager", peers = { "torch", "torch tuned" }, what = "eager against eager", bar = 1.5 },
  { case = "sweep", what = "16 copies of MLP 3072-100-10, batch 64, SGD, in one step", bar = false, most = 5.9 },
  { case = "input", what = "60,000 images through the loader, batches of 64", bar = false, most = 100 },
}

-- Classical learning: what is agreed on is the accuracy, or what score gives (classic.lua, bench_ml.py; how to add a row stands there).
local classic = {
  { case = "ml 1-nn 1000x784", what = "1-NN, 10,000 images against 1,000", bar = 1.2 },
  { case = "ml 5-nn 1000x784", what = "5-NN, the same", bar = 1.2 },
  { case = "ml 1-nn 60000x784", what = "1-NN, 10,000 images against 60,000", bar = 1.2, rounds = 2 },
  { case = "ml 5-nn 60000x784", what = "5-NN, the same", bar = 1.2, rounds = 2 },
  { case = "ml 1-nn 1000x128", what = "1-NN, 128 features", bar = 1.2 },
  { case = "ml 5-nn 1000x128", what = "5-NN, 128 features", bar = 1.2 },
  { case = "ml 1-nn 60000x128", what = "1-NN, 128 features, against 60,000", bar = 1.2, rounds = 2 },
  { case = "ml 5-nn 60000x128", what = "5-NN, the same", bar = 1.2, rounds = 2 },
  { case = "ml forest fit 1000x8", what = "100 trees of 1,000 x 8, 10 classes", tol = 0.02, loose = true, bar = 2 },
  { case = "ml forest fit 60000x8", what = "100 trees of 60,000 x 8", tol = 0.02, loose = true, bar = 2, rounds = 2 },
  { case = "ml forest predict", what = "10,000 x 8 by 100 trees", tol = 0.02, loose = true, bar = 2 },
  { case = "ml logistic 120000x1", what = "logistic regression, two classes, one feature", tol = 1e-3, bar = 3 },
  { case = "ml logistic 60000x8", what = "ten classes, 8 features", tol = 1e-3, bar = 3 },
  { case = "ml logistic 1000x784", what = "ten classes, pixels", tol = 5e-3, loose = true, bar = 3 },
  { case = "ml t-sne 1000x128", what = "t-SNE of 1,000 x 128, 1,000 iterations", tol = 0.03, loose = true, bar = 2, rounds = 2 },
  { case = "ml t-sne 10000x196", what = "t-SNE of 10,000 x 196, the same", tol = 0.03, loose = true, bar = 2, rounds = 1 },
}
for _, row in ipairs(classic) do
  row.ml, row.check, row.tol = true, 1, row.tol or 1e-3
  rows[#rows + 1] = row
end

return rows
