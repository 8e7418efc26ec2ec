-- The rows of the table: what is measured against whom, and the bar.
--
--   case     the workload's name in the servers         label    the row's, where another
--   ours     mascon's side (default "compiled")         peers    only those whose name begins so (default: all that have the case)
--   check    losses compared before anything is timed   tol      how far they may be apart, relative
--   bar      least (time of the fastest peer) / (time of mascon); most = a bar in ms instead
--   rounds   at most so many
return {
  { case = "W1", what = "MLP 784-512-10, batch 256, SGD", check = 5, tol = 1e-4, bar = 1.4 },
  { case = "W2", what = "AE 784-128-64-32-8, batch 64, Adam", check = 5, tol = 1e-4, bar = 2 },
  { case = "W3", what = "AE 784-256-128, batch 1024, momentum", check = 5, tol = 1e-4, bar = 1.15 },
  -- At loss 4 PyTorch's f32 is 2e-5 to 1e-4 off its own f64 (sums over 1024 images); mascon and JAX are within 1e-7 of that.
  { case = "W4", what = "conv AE 1-16-8-4, batch 1024, momentum", check = 3, tol = 1e-4, bar = 4 },
  -- Adam makes whole steps of gradients that are zero but for rounding: PyTorch with and without channels_last differs by 7e-4 at loss 3.
  { case = "W5", what = "27-layer CAE, batch 64, Adam", check = 2, tol = 2e-4, bar = 1.4 },
  { case = "W6 critic", what = "WGAN-GP critic step, batch 8", check = 3, tol = 1e-3, bar = 1.6 },
  { case = "W6 generator", what = "WGAN-GP generator step, batch 8", check = 3, tol = 1e-3, bar = 1.6 },
  { case = "W7", what = "MLP 3072-100-100-10 with batch norm, batch 64", check = 5, tol = 1e-4, bar = 2.1 },
  { case = "W8 knn", what = "1-NN, 10,000 x 784 against 1,000", check = 1, tol = 1e-3, bar = 2 },
  { case = "W8 forest fit 1000", what = "100 trees of 1,000 x 8", check = 1, tol = 0.02, bar = 3 },
  { case = "W8 forest fit 60000", what = "100 trees of 60,000 x 8", check = 1, tol = 0.02, bar = 3, rounds = 2 },
  { case = "W8 forest predict", what = "10,000 x 8 by 100 trees", check = 1, tol = 0.02, bar = 5 },
  { case = "W1", label = "W1 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 3, tol = 0.02, bar = 2 },
  { case = "W3", label = "W3 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 3, tol = 0.02, bar = 2 },
  { case = "W5", label = "W5 bf16", ours = "bf16", peers = "torch amp", what = "bf16 against autocast", check = 2, tol = 0.02, bar = 2 },
  { case = "W2", label = "W2 eager", ours = "eager", peers = { "torch", "torch tuned" }, what = "eager against eager", bar = 1.5 },
  { case = "W7", label = "W7 eager", ours = "eager", peers = { "torch", "torch tuned" }, what = "eager against eager", bar = 1.5 },
  { case = "input", what = "60,000 images through the loader, batches of 64", bar = false, most = 100 },
}
