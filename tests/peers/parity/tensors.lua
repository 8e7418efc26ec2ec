-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  fill_ = "{n(2,3), 1.5}, {n(3,2):transpose(1,2), -2}, {n(1), 0}",
  copy_ = "{n(2,3), n(2,3)}, {n(2,3), n(3)}, {n(3,2):transpose(1,2), n(2,1)}",
}
