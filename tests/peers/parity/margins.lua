-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  hinge_embedding_loss = "{u(-3,3,20), i(3,20) - 2, {reduction = 'none'}}, {n(2,3), n(2,3)}",
  margin_ranking_loss = "{n(20), n(20), i(3,20) - 2, 0.5, {reduction = 'none'}}",
  cosine_embedding_loss = "{n(9,4), n(9,4), i(3,9) - 2, -0.5, {reduction = 'none'}}, {z(2,3), n(2,3), b(2) * 2 - 1, {reduction = 'none'}}",
  triplet_margin_loss = [[{n(9,3), n(9,3), n(9,3), 0.5, {swap = true, reduction = 'none'}},
    {n(4,3), n(4,3), n(4,3), {p = math.huge, reduction = 'none'}}, {z(2,3), z(2,3), z(2,3)}]],
  multi_margin_loss = "{u(-9,9,6,5), i(5,6), 2, 0.5, {weight = u(0,2,5), reduction = 'none'}}",
  multilabel_margin_loss = "{u(-3,3,6,5), i(6,6,5) - 1, 'none'}, {u(-3,3,2,5), i(1,2,5) - 1}, {u(-3,3,2,1), i(2,2,1) - 1, 'none'}",
  cosine_similarity = "{z(2,3), n(2,3)}, {n(2,3,4), n(3,4), {dim = -1, eps = 0.5}}, {n(4,1,3), n(5,3), {dim = 3}}, {n(2,1), n(2,4)}",
  pairwise_distance = "{z(2,3), z(2,3)}, {n(4,3), n(4,3), {p = math.huge}}, {n(4,3), n(4,3), {p = 0.5, keepdim = true}}",
  normalize = "{z(2,3)}, {n(4,3), {p = math.huge}}, {n(4,3), {eps = 2}}, {n(2,3,4), 1, 3}",
  ssim = [[{z(2,1,12,11), u(0,1,2,1,12,11), 'none'}, {u(-1,1,1,3,5,4), u(-1,1,1,3,5,4), {window_size = 1, data_range = 2}},
    {u(0,255,2,1,13,12), u(0,255,2,1,13,12), 'none', {data_range = 255}}]],
  ssim_loss = "{u(0,1,3,1,11,11), u(0,1,3,1,11,11), 'sum'}",
}
