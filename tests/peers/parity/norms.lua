-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  batch_norm = [[{n(4,3), n(3), u(0.5,2,3), u(0.5,1.5,3), n(3), true}, {n(2,3,4,4), n(3), u(0.5,2,3), u(0.5,1.5,3), n(3)},
    {n(3,2,2,2), {running_mean = n(2), running_var = u(0.5,2,2), training = true, momentum = 0.3, eps = 0.001}}]],
  instance_norm = [[{n(2,3,4), n(3), u(0.5,2,3), u(0.5,1.5,3), n(3)}, {n(2,3,4,4), n(3), u(0.5,2,3), u(0.5,1.5,3), n(3), false},
    {n(3,2,2,2), {running_mean = n(2), running_var = u(0.5,2,2), momentum = 0.3, eps = 0.001}}]],
  batch_norm_follow_ = [[{n(3), u(0.5,1,3), n(3), u(0.5,1,3), 8}, {n(2), u(0.5,1,2), n(2), u(0.5,1,2), 64, 0.3},
    {n(1), u(1,2,1), n(1), u(0.1,2,1), 2}]],
}
