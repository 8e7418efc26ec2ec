-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  matmul = "{n(1,5):transpose(1,2), n(1,7)}, {n(33,17), n(17,9)}, {n(2,1,3,4), n(5,4,2)}",
  conv2d = "{n(1,3,9,9), n(5,3,3,3), {padding=1}}, {n(2,8,6,5), n(8,1,3,3), {groups=8, padding=1, stride={2,1}}}, "
    .. "{n(3,7,6), n(4,3,3,3), n(4), {padding='same'}}, {n(2,2,7,6), n(3,2,2,4), {padding='same', dilation={3,1}}}, "
    .. "{n(2,2,7,6), n(3,2,2,4), {padding='valid', stride=2}}, "
    .. "{n(2,2,7,6), n(4,1,3,2), n(4), {groups=2, dilation=2, stride={2,1}, padding={2,0}}}",
  conv_transpose2d = "{n(2,4,3,4), n(4,3,3,2), n(6), {stride={2,3}, padding={1,0}, output_padding={1,2}, groups=2}}, "
    .. "{n(1,2,3,3), n(2,2,2,3), {stride=2, dilation=3, output_padding=2, padding=1}}",
  conv1d = "{n(2,2,9), n(4,1,4), n(4), {groups=2, padding='same', dilation=2}}, {n(1,3,64), n(8,3,5), {stride=3, padding=4}}",
  conv_transpose1d = "{n(1,3,20), n(3,8,5), n(8), {stride=3, padding=2, output_padding=2, dilation=2}}",
}
