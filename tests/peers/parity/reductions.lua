-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  sum = "{i(9,2,3)}, {b(4,3), 1}, {i(9,2,3,2), {1,3}}",
  cumsum = "{i(9,5), 1}, {b(2,3), 2}, {i(9,2,3), 1}",
  amax = "{i(9,2,3)}, {i(3,4,3), 1}, {n(2,3,4):transpose(1,3), 2}",
  argmax = "{i(3,5,4), 1}, {i(3,5,4), 2}, {n(3,4):transpose(1,2), 1}",
  argmin = "{i(3,5,4), 1}, {i(3,5,4), 2}, {n(3,4):transpose(1,2), 1}",
  norm = "{n(4,3), 3, 1}, {n(2,5), math.huge}, {n(4), 0.5}",
  sort = "{i(3,12)}, {i(3,2,9), -1, true}, {n(40)}",
  prod = "{n(3,4), -1}, {n(2,2,7), 3}, {n(1,1), 1}",
  softmax = "{u(-50,50,3,5)}",
  log_softmax = "{u(-50,50,3,5)}",
  logsumexp = "{u(-50,50,3,5), 2}",
}
