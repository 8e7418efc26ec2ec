-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  matmul = "{n(1,5):transpose(1,2), n(1,7)}, {n(33,17), n(17,9)}, {n(2,1,3,4), n(5,4,2)}",
  conv2d = "{n(1,3,9,9), n(5,3,3,3), {padding=1}}, {n(2,8,6,5), n(8,1,3,3), {groups=8, padding=1, stride={2,1}}}",
  max_pool2d = "{n(2,2,6,6), 3, {stride=1, padding=1}}, {n(1,1,3,3), 3}",
  interpolate = "{n(1,2,5,4), {3,2}, 'bilinear'}, {n(1,2,5,4), {2,7}}",
}
