-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  embedding = [[{i(4,2,3), n(4,3), 2}, {i(3,5), n(3,2), -1}]],
}
