-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  masked_fill_ = "{n(2,3), b(2,3), 0.5}, {n(2,3), b(3), -1}, {n(3,2):transpose(1,2), b(2,1), 0}",
  masked_scatter_ = "{n(2,3), b(2,3), n(6)}, {n(2,3), b(3), n(2,4)}, {n(3,2):transpose(1,2), b(2,3), n(6)}",
  masked_scatter = "{n(2,3), n(2,3):gt(9), z(0)}",
  nonzero = "{n(2,0)}, {z(3)}, {n()}",
  unique = "{n(0), true, true, true}, {n():trunc(), true, true, true}",
  unique_consecutive = "{n(0), true, true}, {n(2,2,9):trunc(), {dim=3, return_inverse=true}}",
  searchsorted = "{n(0), n(2,3)}, {n(3,5):sort(), n(3,0)}",
  isin = "{n(2,3), n(0)}, {n(0), n(2)}, {n(2,3), n(0), {invert=true}}",
  bincount = "{i(4,9)}, {i(3,5), {minlength=7}}, {i(3,0), {minlength=2}}, {i(3,0)}, {i(3,4), i(5,4)}",
  histc = "{n(0), 3}, {z(4), 3}, {n(40), 5, {min=-0.5, max=0.5}}",
  tril_indices = "{0, 3}, {3, 0}, {2, 3, -5}, {2, 3, 9, {dtype='i32'}}",
  triu_indices = "{0, 3}, {3, 0}, {2, 3, -5}, {2, 3, 9, {dtype='i32'}}",
}
