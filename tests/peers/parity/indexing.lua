-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  one_hot = "{i(3,4), 3, {dtype = 'i64'}}, {i(3,4), 3, 'f64'}",
}
