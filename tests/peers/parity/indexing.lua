-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  one_hot = "{i(3,4), 3, {dtype = 'i64'}}, {i(3,4), 3, 'f64'}, {i(5,2,3)}",
  index_copy = "{n(3,4):transpose(1,2), 1, i(4,1), n(1,3)}",
  index_copy_ = "{n(4,3), 1, i(4,1), n(1,3)}, {n(2,5), 2, i(5,1), n(2,1)}, {n(3,4):transpose(1,2), 1, i(4,1), n(1,3)}",
  index_add_ = "{n(4,3), 1, i(4,5), n(5,3)}, {n(2,5), 2, i(5,3), n(2,3)}, {n(3,4):transpose(1,2), 1, i(4,6), n(6,3)}",
  index_reduce_ = [[{n(4,3), 1, i(4,5), n(5,3), 'prod'}, {n(2,5), 2, i(5,3), n(2,3), 'mean'},
    {n(3,4):transpose(1,2), 1, i(4,6), n(6,3), 'amax', false}]],
  index_fill_ = "{n(4,3), 1, i(4,2), 0.5}, {n(2,5), 2, i(5,3), -1}, {n(3,4):transpose(1,2), 1, i(4,2), 7}",
  scatter_add_ = "{n(3,4), 2, i(4,3,2), n(3,2)}, {n(3,4), 1, i(3,2,4), n(2,4)}, {n(4,3):transpose(1,2), 2, i(4,3,5), n(3,5)}",
  scatter_ = "{n(3,4), 2, i(4,3,1), n(3,2)}, {n(3,4), 1, i(3,1,4), 2.5}, {n(4,3):transpose(1,2), 2, i(4,3,1), n(3,1)}",
  scatter_reduce_ = [[{n(3,4), 2, i(4,3,2), n(3,2), 'sum'}, {n(3,4), 1, i(3,2,4), n(2,4), 'amax'},
    {n(3,4), 1, i(3,2,4), n(2,4), 'prod', false}]],
  scatter_reduce = "{z(2,3), 2, i(3,2,4), n(2,4), 'prod'}, {n(2,3), 2, i(3,2,4), z(2,4), 'prod'}",
  place_ = [[{n(4,3), 1, 1, i(4,1,1), n(1,1,3)}, {n(2,3,4), 2, 2, i(12,5), n(2,5), true},
    {n(3,4):transpose(1,2), 1, 2, i(12,3), n(3), true}]],
  put_ = "{n(2,3), i(6,1), n(1)}, {n(3,2):transpose(1,2), i(6,1), n(1)}, {n(2,3), i(6,9), n(9), true}",
}
