-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  cross_entropy = "{u(-50,50,4,5), i(5,4)}",
  bce_with_logits = "{u(-50,50,8), u(0,1,8), 'none'}",
}
