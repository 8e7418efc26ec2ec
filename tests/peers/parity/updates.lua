-- Samples of these rows in addition to their own, for the values PyTorch gives.
return {
  sgd_ = [[{{n(2,3), n(2,3)}, 2, 0.1},
    {{n(2,3), n(4), n(2,3), n(4), n(2,3), n(4), s(1), s(1)}, 4, 0.05, {momentum = 0.9, weight_decay = 0.01}},
    {{n(5), n(5), n(5), s(1)}, 4, 0.05, {momentum = 0.9, nesterov = true}},
    {{n(5), n(5), n(5), s(1)}, 4, 0.1, {momentum = 0.5, dampening = 0.25}},
    {{n(5), n(5), n(5), s(0)}, 4, 0.1, {momentum = 0.5, dampening = 0.25}}]],
  adam_ = [[{{n(2,3), n(2,3), z(2,3), z(2,3), s(0)}, 5, 0.001},
    {{n(2), n(3), n(2), n(3), n(2), n(3), u(0.1,1,2), u(0.1,1,3), s(3), s(3)}, 5, 0.01},
    {{n(2,3), n(2,3), n(2,3), u(0.1,1,2,3), s(7)}, 5, 0.01, {beta1 = 0.5, beta2 = 0.9, eps = 0.001, weight_decay = 0.1}},
    {{n(2,3), n(2,3), n(2,3), u(0.1,1,2,3), s(7)}, 5, 0.01, {weight_decay = 0.1, decoupled = true}}]],
}
