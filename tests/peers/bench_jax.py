"""JAX's side of `make bench`: the whole step (loss, gradients, update) is one jax.jit with donated state; images are N x H x W x C, the
layout its convolutions like. Steps are dispatched without waiting; a group of them is waited for at its end.
"""
import os

import bench_common as common

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402


def linear(seed, k, i, o, rows=None, cols=None):
    """i x o; rows, cols: images (channels, height, width) whose elements stand in N x H x W x C order here."""
    w, b = common.layer(seed, k, (o, i))
    if cols:
        order = np.arange(i).reshape(cols).transpose(1, 2, 0).ravel()
        w = w[:, order]
    if rows:
        order = np.arange(o).reshape(rows).transpose(1, 2, 0).ravel()
        w, b = w[order], b[order]
    return dict(w=jnp.asarray(w.T.copy()), b=jnp.asarray(b))


def conv(seed, k, i, o, size):
    w, b = common.layer(seed, k, (o, i, size, size))
    return dict(w=jnp.asarray(w.transpose(2, 3, 1, 0).copy()), b=jnp.asarray(b))


def norm(n):
    return dict(w=jnp.ones(n), b=jnp.zeros(n))


def running(n):
    return dict(mean=jnp.zeros(n), var=jnp.ones(n))


def apply_linear(p, x):
    return x @ p["w"] + p["b"]


def apply_conv(p, x, stride=1, padding=1):
    return lax.conv_general_dilated(x, p["w"], (stride, stride), [(padding, padding)] * 2,
                                    dimension_numbers=("NHWC", "HWIO", "NHWC")) + p["b"]


def apply_norm(p, s, x):
    """y and the new running statistics"""
    dims = tuple(range(x.ndim - 1))
    n = x.size // x.shape[-1]
    mean = x.mean(dims)
    var = jnp.square(x - mean).mean(dims)
    y = (x - mean) * (lax.rsqrt(var + 1e-5) * p["w"]) + p["b"]
    return y, dict(mean=.9 * s["mean"] + .1 * lax.stop_gradient(mean), var=.9 * s["var"] + .1 * lax.stop_gradient(var) * (n / (n - 1)))


def pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def up(x):
    n, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


def up_bilinear(x):
    n, h, w, c = x.shape
    return jax.image.resize(x, (n, 2 * h, 2 * w, c), "bilinear")


def entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


# ---- optimizers: (state, update(params, grads, state) -> params, state) ----

def sgd(params, lr, momentum=0.):
    if not momentum:
        return (), lambda p, g, s: (jax.tree.map(lambda a, b: a - lr * b, p, g), s)

    def update(p, g, s):
        s = jax.tree.map(lambda m, b: momentum * m + b, s, g)
        return jax.tree.map(lambda a, m: a - lr * m, p, s), s
    return jax.tree.map(jnp.zeros_like, params), update


def adam(params, lr, b1=.9, b2=.999, eps=1e-8):
    def update(p, g, s):
        t, m, v = s
        t = t + 1
        m = jax.tree.map(lambda a, b: b1 * a + (1 - b1) * b, m, g)
        v = jax.tree.map(lambda a, b: b2 * a + (1 - b2) * b * b, v, g)
        c1, c2 = 1 - b1 ** t, jnp.sqrt(1 - b2 ** t)
        return jax.tree.map(lambda a, b, c: a - lr / c1 * b / (jnp.sqrt(c) / c2 + eps), p, m, v), (t, m, v)
    return (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)), update


# ---- workloads: params, stats, forward(params, stats, x) -> out, stats; loss ----

def mlp(seed, sizes, act, last=None):
    params = [linear(seed, k, sizes[k], sizes[k + 1]) for k in range(len(sizes) - 1)]

    def forward(p, s, x):
        for k, q in enumerate(p):
            x = apply_linear(q, x)
            if k < len(p) - 1:
                x = act(x)
        return (last(x) if last else x), s
    return params, (), forward


def w4():
    widths = [1, 16, 8, 4, 8, 16, 1]
    params = [conv(400, k, widths[k], widths[k + 1], 3) for k in range(6)]

    def forward(p, s, x):
        x = jax.nn.relu(pool(apply_conv(p[0], x)))
        x = jax.nn.relu(pool(apply_conv(p[1], x)))
        x = jax.nn.relu(apply_conv(p[2], x))
        x = jax.nn.relu(up(apply_conv(p[3], x)))
        x = jax.nn.relu(up(apply_conv(p[4], x)))
        return apply_conv(p[5], x), s
    return params, (), forward


# channels in, out, stride, norm; then what follows
ENCODER = [(1, 16, 1, 0), (16, 16, 1, 0), (16, 16, 2, 1), (16, 32, 1, 0), (32, 32, 1, 0), (32, 32, 2, 1), (32, 64, 1, 0), (64, 64, 1, 0),
           (64, 64, 1, 1)]
DECODER = [(64, 64, 0), (64, 64, 2), (64, 32, 1), (32, 32, 0), (32, 32, 2), (32, 16, 1), (16, 16, 0), (16, 16, 1)]  # 1: norm, 2: up


def w5():
    seed, k, params, stats = 500, 0, [], []
    for i, o, _, n in ENCODER:
        params.append((conv(seed, k, i, o, 3), norm(o) if n else ()))
        stats.append(running(o) if n else ())
        k += 1
    image = (64, 7, 7)
    fc = [linear(seed, k, 3136, 1024, cols=image), linear(seed, k + 1, 1024, 256), norm(256), linear(seed, k + 2, 256, 1024),
          linear(seed, k + 3, 1024, 3136, rows=image)]
    params.append(fc)
    stats.append(running(256))
    k += 4
    for i, o, n in DECODER:
        params.append((conv(seed, k, i, o, 3), norm(o) if n == 1 else ()))
        stats.append(running(o) if n == 1 else ())
        k += 1
    params.append(conv(seed, k, 16, 1, 1))

    def forward(p, s, x):
        new, at = [], 0
        for _, _, stride, n in ENCODER:
            x = apply_conv(p[at][0], x, stride)
            t = s[at]
            if n:
                x, t = apply_norm(p[at][1], t, x)
            new.append(t)
            x, at = jax.nn.relu(x), at + 1
        f = p[at]
        x = apply_linear(f[1], jax.nn.relu(apply_linear(f[0], x.reshape(len(x), -1))))
        x, t = apply_norm(f[2], s[at], x)
        new.append(t)
        x = jax.nn.relu(apply_linear(f[4], jax.nn.relu(apply_linear(f[3], x)))).reshape(-1, 7, 7, 64)
        at += 1
        for _, _, n in DECODER:
            x, t = apply_conv(p[at][0], x), s[at]
            if n == 1:
                x, t = apply_norm(p[at][1], t, x)
            new.append(t)
            x, at = jax.nn.relu(x), at + 1
            if n == 2:
                x = up_bilinear(x)
        return jax.nn.sigmoid(apply_conv(p[at], x, padding=0)), new
    return params, stats, forward


def w7():
    sizes = [3072, 100, 100, 10]
    params = [linear(800, k, sizes[k], sizes[k + 1]) for k in range(3)] + [norm(100), norm(100)]

    def forward(p, s, x):
        x, a = apply_norm(p[3], s[0], apply_linear(p[0], x))
        x, b = apply_norm(p[4], s[1], apply_linear(p[1], jax.nn.relu(x)))
        return apply_linear(p[2], jax.nn.relu(x)), [a, b]
    return params, [running(100), running(100)], forward


def bce(o, x):
    return -(x * jnp.maximum(jnp.log(o), -100) + (1 - x) * jnp.maximum(jnp.log1p(-o), -100)).mean()


WORK = {
    "W1": (lambda: mlp(100, [784, 512, 10], jnp.tanh), 256, "flat", lambda p: sgd(p, .1), lambda o, x, y: entropy(o, y)),
    "W2": (lambda: mlp(200, [784, 128, 64, 32, 8, 32, 64, 128, 784], jax.nn.relu, jax.nn.sigmoid), 64, "flat", lambda p: adam(p, 1e-3),
           lambda o, x, y: jnp.square(o - x).sum()),
    "W3": (lambda: mlp(300, [784, 256, 128, 256, 784], jax.nn.relu), 1024, "flat", lambda p: sgd(p, .01, .99),
           lambda o, x, y: jnp.square(o - x).mean()),
    "W4": (w4, 1024, "images", lambda p: sgd(p, .01, .99), lambda o, x, y: jnp.square(o - x).mean()),
    "W5": (w5, 64, "images", lambda p: adam(p, 1e-3), lambda o, x, y: bce(o, x)),
    "W7": (w7, 64, "wide", lambda p: sgd(p, .01), lambda o, x, y: entropy(o, y)),
}


def stepping(step, state, following):
    """A Case of step(state, *batch) -> state, loss with the state donated."""
    jitted = jax.jit(step, donate_argnums=0)
    box = [state, None]

    def run():
        box[0], box[1] = jitted(box[0], *following())
        return box[1]
    return common.Case(run, sync=lambda: jax.block_until_ready(box[0]))


def training(name):
    def make():
        net, batch, kind, optimizer, loss_of = WORK[name]
        params, stats, forward = net()
        opt, update = optimizer(params)
        x, y = common.wide() if kind == "wide" else common.pictures()
        x = x.reshape((len(x), 28, 28, 1) if kind == "images" else (len(x), -1))
        batches = len(x) // batch
        # One array per batch, on the device before the clock runs: taking a slice would be one more dispatch.
        x = [jnp.asarray(x[i * batch:(i + 1) * batch]) for i in range(batches)]
        y = [jnp.asarray(y[i * batch:(i + 1) * batch].astype(np.int32)) for i in range(batches)]
        at = 0

        def following():
            nonlocal at
            at += 1
            return x[(at - 1) % batches], y[(at - 1) % batches]

        def step(state, a, b):
            params, stats, opt = state

            def loss_fn(p):
                out, s = forward(p, stats, a)
                return loss_of(out, a, b), s
            (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
            params, opt = update(params, grads, opt)
            return (params, stats, opt), loss
        return stepping(step, (params, stats, opt), following)
    return make


def generator():
    ch = [256, 128, 64, 32, 16, 16, 2]
    params = [linear(600, 0, 128, 4096, rows=(256, 4, 4))]
    params += [(conv(600, k + 1, ch[k], ch[k + 1], 3), norm(ch[k + 1]) if k < 5 else ()) for k in range(6)]
    stats = [running(c) for c in ch[1:6]]

    def forward(p, s, z):
        x, new = apply_linear(p[0], z).reshape(-1, 4, 4, 256), []
        for k in range(6):
            x = apply_conv(p[k + 1][0], up(x))
            if k < 5:
                x, t = apply_norm(p[k + 1][1], s[k], x)
                new.append(t)
                x = jax.nn.relu(x)
        return x, new
    return params, stats, forward


def critic():
    ch = [2, 16, 32, 64, 128, 256, 256]
    params = [conv(700, k, ch[k], ch[k + 1], 4) for k in range(6)] + [linear(700, 6, 4096, 1, cols=(256, 4, 4))]

    def forward(p, x):
        for k in range(6):
            x = jax.nn.leaky_relu(apply_conv(p[k], x, 2), .2)
        return apply_linear(p[6], x.reshape(len(x), -1))
    return params, forward


def gan(which):
    def make():
        g, stats, G = generator()
        d, D = critic()
        real, z, eps = common.fields()
        real = jnp.asarray(real.transpose(0, 2, 3, 1).copy())
        z, eps = [jnp.asarray(v) for v in z], [jnp.asarray(v) for v in eps]
        opt, update = adam(d if which == "critic" else g, 1e-4, 0., .9)
        at = 0

        def following():
            nonlocal at
            at += 1
            return z[(at - 1) % common.NOISES], eps[(at - 1) % common.NOISES]

        def critic_step(state, n, e):
            d, stats, opt = state
            fake, stats = G(g, stats, n)
            mix = e * real + (1 - e) * fake

            def loss_fn(d):
                slope = jax.grad(lambda x: D(d, x).sum())(mix).reshape(len(mix), -1)
                penalty = jnp.square(jnp.sqrt(jnp.square(slope).sum(1)) - 1).mean()
                return D(d, fake).mean() - D(d, real).mean() + 10 * penalty
            loss, grads = jax.value_and_grad(loss_fn)(d)
            d, opt = update(d, grads, opt)
            return (d, stats, opt), loss

        def generator_step(state, n, e):
            g, stats, opt = state

            def loss_fn(g):
                x, s = G(g, stats, n)
                return -D(d, x).mean(), s
            (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(g)
            g, opt = update(g, grads, opt)
            return (g, stats, opt), loss
        if which == "critic":
            return stepping(critic_step, (d, stats, opt), following)
        return stepping(generator_step, (g, stats, opt), following)
    return make


cases = {name: training(name) for name in ("W1", "W2", "W3", "W4", "W5")}
cases.update({"W6 critic": gan("critic"), "W6 generator": gan("generator"), "W7": training("W7")})
common.serve("jax " + jax.__version__, cases)
