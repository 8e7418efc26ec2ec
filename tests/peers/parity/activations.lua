-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  softplus = "-30:30,0.5:2,9:20",
  logsigmoid = "-30:30",
  gelu_exact = "-6:6",
  gelu_tanh = "-6:6",
  silu = "-20:20",
  mish = "-20:20",
  selu = "-20:20",
  relu6 = "-1:9",
  hardsigmoid = "-5:5",
  hardswish = "-5:5",
  softsign = "-30:30",
  tanhshrink = "-9:9",
  prelu = "{n(3), n(1)}, {n(2,3,4,2), n(3)}",
}
