-- What is added to operations' rows: examples where the row's own sample says little, and a few words more. The form is told in docs.lua.
return [==[
= ms.copy_
  > ms.zeros({ 2 }):copy_(ms.tensor { 1, 2 })
= ms.fill_
  > ms.zeros({ 2 }):fill_(3)
= ms.uniform_
  > ms.empty({ 2, 3 }):uniform_(-1, 1).shape
= ms.normal_
  > ms.empty({ 2, 3 }):normal_(0, 0.02).shape
= ms.bernoulli_
  > ms.empty({ 5 }):bernoulli_(0.5).shape
= ms.random_
  > ms.empty({ 5 }):random_(1, 6).shape
= ms.scatter_add_
  > ms.zeros({ 3 }):scatter_add_(1, ms.tensor({ 1, 1, 3 }, { dtype = "i64" }), ms.ones { 3 })
= ms.scatter_
  > ms.zeros({ 3 }):scatter_(1, ms.tensor({ 1, 3 }, { dtype = "i64" }), ms.tensor { 5, 6 })
= ms.scatter_reduce_
  > ms.ones({ 3 }):scatter_reduce_(1, ms.tensor({ 1, 1, 3 }, { dtype = "i64" }), ms.tensor { 2, 3, 4 }, "sum")
= ms.index_copy_
  > ms.zeros({ 3, 2 }):index_copy_(1, ms.tensor({ 3, 1 }, { dtype = "i64" }), ms.ones { 2, 2 })
= ms.index_add_
  > ms.zeros({ 3, 2 }):index_add_(1, ms.tensor({ 3, 1 }, { dtype = "i64" }), ms.ones { 2, 2 })
= ms.index_reduce_
  > ms.ones({ 3 }):index_reduce_(1, ms.tensor({ 1, 3 }, { dtype = "i64" }), ms.tensor { 2, 3 }, "prod")
= ms.index_fill_
  > ms.zeros({ 3 }):index_fill_(1, ms.tensor({ 1, 3 }, { dtype = "i64" }), 7)
= ms.masked_fill_
  > ms.tensor({ -1, 2 }):masked_fill_(ms.tensor { true, false }, 0)
= ms.masked_scatter_
  > ms.zeros({ 3 }):masked_scatter_(ms.tensor { true, false, true }, ms.tensor { 5, 6 })
= ms.put_
  > ms.zeros({ 2, 2 }):put_(ms.tensor({ 1, 4 }, { dtype = "i64" }), ms.tensor { 5, 6 })
= ms.dropout
  > ms.dropout(ms.ones { 4 }, 0.5, false)
= ms.dropout1d
  > ms.dropout1d(ms.ones { 2, 3, 4 }, 0.5, false).shape
= ms.dropout2d
  > ms.dropout2d(ms.ones { 2, 3, 4, 4 }, 0.5, false).shape
= ms.alpha_dropout
  > ms.alpha_dropout(ms.ones { 4 }, 0.5, true).shape
= ms.feature_alpha_dropout
  > ms.feature_alpha_dropout(ms.ones { 2, 3, 4 }, 0.5, true).shape
= ms.matmul
  > ms.matmul(ms.randn { 2, 3 }, ms.randn { 3, 4 }).shape
= ms.conv2d
  > ms.conv2d(ms.randn { 2, 3, 8, 8 }, ms.randn { 4, 3, 3, 3 }, { padding = 1, stride = 2 }).shape
= ms.softmax
  > ms.softmax(ms.tensor { { 1, 2, 3 } }, 2)
= ms.cross_entropy
  > ms.cross_entropy(ms.tensor { { 2, 0.5, 0 } }, ms.tensor({ 1 }, { dtype = "i64" }))
= ms.mse_loss
  > ms.mse_loss(ms.tensor { 1, 2 }, ms.tensor { 1, 4 })
= ms.sum
  > ms.ones({ 2, 3 }):sum(1), ms.ones({ 2, 3 }):sum({ 1, 2 }, { keepdim = true }).shape
= ms.mean
  > ms.arange(1, 4):mean()
= ms.max
  > local values, positions = ms.tensor({ { 1, 5, 2 } }):max(2)
  > values, positions
= ms.argmax
  > ms.tensor({ { 1, 5, 2 } }):argmax(2)
= ms.topk
  > local values, positions = ms.tensor({ 3, 9, 5 }):topk(2)
  > values, positions
= ms.sort
  > local values, positions = ms.tensor({ 3, 9, 5 }):sort()
  > values, positions
= ms.where
  > ms.where(ms.tensor { true, false }, ms.tensor { 1, 2 }, 0)
= ms.cat
  > ms.cat({ ms.ones { 1, 2 }, ms.zeros { 2, 2 } }, 1)
= ms.stack
  > ms.stack({ ms.ones { 2 }, ms.zeros { 2 } }).shape
= ms.reshape
  > ms.arange(1, 6):reshape { 2, -1 }
= ms.permute
  > ms.zeros({ 2, 3, 4 }):permute({ 3, 1, 2 }).shape
= ms.transpose
  > ms.zeros({ 2, 3 }):transpose(1, 2).shape
= ms.one_hot
  > ms.one_hot(ms.tensor({ 1, 3 }, { dtype = "i64" }), 3)
= ms.clamp
  > ms.tensor({ -2, 0.5, 3 }):clamp(0, 1)
= ms.arange
  > ms.arange(1, 5), ms.arange(0, 1, 0.25)
= ms.gather
  > ms.tensor({ { 1, 2 }, { 3, 4 } }):gather(2, ms.tensor({ { 2 }, { 1 } }, { dtype = "i64" }))
= ms.randint
  > ms.randint(1, 6, { 3 }).dtype
= ms.linear
  > ms.linear(ms.randn { 4, 3 }, ms.randn { 2, 3 }, ms.zeros { 2 }).shape
]==]
