"""The updates of optimizers that are one row."""
import torch


def update(optimizer, state):
    """One step of a PyTorch optimizer on the lists in a.x; state(k) gives the state of parameter k before it."""
    def run(a):
        n = len(a.x) // a.groups
        ps = [torch.nn.Parameter(p) for p in a.x[:n]]
        opt = optimizer(ps, a)
        for k, p in enumerate(ps):
            p.grad = a.x[n + k]
            opt.state[p].update(state(a, k, n))
        opt.step()
        after = [p.detach() for p in ps] + a.x[n:2 * n]
        for key in ("momentum_buffer", "exp_avg", "exp_avg_sq"):
            if key in opt.state[ps[0]] and opt.state[ps[0]][key] is not None:
                after += [opt.state[p][key] for p in ps]
        if a.groups > 2:
            after += [t + 1 for t in a.x[-n:]]
        a["x"] = after
        return ()
    return run


def sgd(ps, a):
    return torch.optim.SGD(ps, lr=a.lr, momentum=a.momentum, dampening=a.dampening, weight_decay=a.weight_decay, nesterov=a.nesterov)


def sgd_state(a, k, n):
    return {} if a.groups == 2 or a.x[3 * n + k] == 0 else {"momentum_buffer": a.x[2 * n + k].clone()}


def adam(ps, a):
    kind = torch.optim.AdamW if a.decoupled else torch.optim.Adam
    return kind(ps, lr=a.lr, betas=(a.beta1, a.beta2), eps=a.eps, weight_decay=a.weight_decay)


def adam_state(a, k, n):
    return {"step": torch.tensor(float(a.x[4 * n + k])), "exp_avg": a.x[2 * n + k].clone(), "exp_avg_sq": a.x[3 * n + k].clone()}


ROWS = {
    "sgd_": update(sgd, sgd_state),
    "adam_": update(adam, adam_state),
}
