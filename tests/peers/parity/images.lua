-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  avg_pool2d = "{n(1,2,7,9), {3,4}, {stride={2,3}, padding={1,2}, ceil_mode=true, count_include_pad=false}}, "
    .. "{n(2,2,9,8), 3, {stride=2, padding=1, divisor_override=4}}, {n(3,6,7), {2,3}, {ceil_mode=true}}, {n(1,1,6,6), 2}, "
    .. "{n(1,1,7,7), 2, {ceil_mode=true}}, {n(1,2,6,6), 2, {divisor_override=-3}}, {n(1,1,1,1), 1}",
  avg_pool1d = "{n(2,3,9), 4, {stride=3, padding=2, ceil_mode=true}}, {n(1,1,1), 1}",
  max_pool2d = "{n(2,2,6,6), 3, {stride=1, padding=1}}, "
    .. "{n(1,1,3,3), 3}, {n(2,3,9,8), 2, {dilation={3,2}, stride={1,3}, return_indices=true}}, "
    .. "{n(1,2,7,9), {3,4}, {stride={2,3}, padding={1,2}, ceil_mode=true, return_indices=true}}, {n(3,8,8), 2, {return_indices=true}}",
  max_pool1d = "{n(2,3,20), 4, {stride=3, padding=2, ceil_mode=true, return_indices=true}}",
  adaptive_avg_pool2d = "{n(2,3,8,6), {4,3}}, {n(3,7,5), 1}, {n(1,2,7,9), {-1,4}}, {n(1,2,3,4), {7,5}}, {n(2,2,13,11), {5,7}}",
  adaptive_avg_pool1d = "{n(2,3,13), 5}, {n(1,1,4), 9}",
  adaptive_max_pool2d = "{n(2,3,8,6), {4,3}, {return_indices=true}}, {n(3,7,5), 1}, {n(2,2,13,11), {5,7}, {return_indices=true}}",
  adaptive_max_pool1d = "{n(2,3,13), 5, {return_indices=true}}, {n(1,1,4), 9}",
  lp_pool2d = "{u(0.5,2,2,2,7,6), 3, {2,3}, {stride={1,2}, ceil_mode=true}}, {u(0.5,2,1,1,4,4), 1, 2}",
  interpolate = "{n(1,2,5,4), {3,2}, {mode='bilinear'}}, {n(1,2,5,4), {2,7}}, {n(1,2,5,4), {7,9}, {mode='nearest-exact'}}, "
    .. "{n(1,2,5,4), {11,3}, {mode='bilinear', align_corners=true}}, {n(1,2,5,4), {1,9}, {mode='bicubic', align_corners=true}}, "
    .. "{n(1,2,5,7), {scale_factor={1.7,0.6}}}, {n(1,2,5,7), {scale_factor={1.7,0.6}, mode='nearest-exact'}}, "
    .. "{n(1,2,5,7), {scale_factor={2.3,0.4}, mode='bilinear'}}, {n(1,2,5,7), {scale_factor={2.3,1.9}, mode='bicubic'}}, "
    .. "{n(1,2,5,7), {scale_factor=2.3, mode='bilinear', recompute_scale=true}}, {n(1,2,5,7), {scale_factor=2.3, recompute_scale=true}}, "
    .. "{n(1,2,5,7), {scale_factor=2, mode='bilinear', align_corners=true}}, "
    .. "{n(1,2,5,7), {scale_factor=2.3, mode='bicubic', align_corners=true}}, "
    .. "{n(1,2,6,4), {3,8}, {mode='area'}}, {n(1,2,7,5), {4,3}, {mode='area'}}, {n(2,3,7), 4, {mode='area'}}, "
    .. "{n(2,3,7), 11, {mode='linear', align_corners=true}}, "
    .. "{n(2,3,7), {scale_factor=2.5}}, {n(2,3,7), {scale_factor=0.7, mode='linear'}}, "
    .. "{n(2,3,7), {scale_factor=3, mode='nearest-exact'}}, "
    .. "{n(1,1,10,12), {4,5}, {mode='bicubic'}}, {n(1,1,1,1), {3,2}, {mode='bicubic', align_corners=true}}, "
    .. "{n(1,2,3,4), {scale_factor=2}}",
  pixel_shuffle = "{n(2,3,4,5), 1}, {n(2,2,12,2,3), 2}",
  pixel_unshuffle = "{n(2,3,4,5), 1}, {n(2,2,3,4,6), 2}",
  im2col = "{n(2,2,9,8), {2,3}, {dilation={3,2}, padding={2,1}, stride={1,3}}}, {n(1,1,3,3), 3}",
  col2im = "{n(2,12,20), {9,8}, {2,3}, {dilation={3,2}, padding={2,1}, stride={1,3}}}, {n(1,9,1), {3,3}, 3}",
  grid_sample = "{n(2,2,3,4), u(-1.3,1.3,2,2,3,2), {mode='nearest'}}, "
    .. "{n(1,2,4,3), u(-1.5,1.5,1,3,2,2), {mode='nearest', padding_mode='border', align_corners=true}}, "
    .. "{n(1,1,4,5), u(-3,3,1,2,2,2), {mode='nearest', padding_mode='reflection'}}, "
    .. "{n(2,3,5,4), u(-4,4,2,4,4,2), {padding_mode='reflection', align_corners=true}}, "
    .. "{n(2,3,5,4), u(-2,2,2,4,4,2), {align_corners=true}}, {n(2,3,5,4), u(-2,2,2,4,4,2), {padding_mode='border'}}, "
    .. "{n(2,3,5,4), u(-1.2,1.2,2,2,3,2), {mode='bicubic', padding_mode='border'}}, "
    .. "{n(1,1,1,1), u(-2,2,1,2,2,2), {padding_mode='reflection', align_corners=true}}, "
    .. "{n(2,3,5,4), u(-1,1,2,4,4,2), {mode='bicubic', align_corners=true}}",
  affine_grid = "{n(2,2,3), {2,3,5,4}, true}, {n(1,2,3), {1,1,1,1}, true}",
}
