"""Functions that are no rows (lists of views, einsum, ...): expressions in x, y, z with their values and gradients, f64."""
import torch

f64 = torch.float64


def grid(*v, **o):
    return torch.meshgrid(*v, indexing="ij", **o)


# Lua expression : (shapes of x, y, z, the same in PyTorch)
EXPRESSIONS = {
    "x:split(2)": ([[5, 3]], lambda x: x.split(2)),
    "x:split(2, 2)": ([[2, 4]], lambda x: x.split(2, 1)),
    "x:split({ 1, 0, 3 }, -1)": ([[2, 4]], lambda x: x.split([1, 0, 3], -1)),
    "x:chunk(2)": ([[5]], lambda x: x.chunk(2)),
    "x:chunk(4, 2)": ([[2, 6]], lambda x: x.chunk(4, 1)),
    "x:chunk(3, { dim = 2 })": ([[2, 0]], lambda x: x.chunk(3, 1)),
    "x:tensor_split(3)": ([[7, 2]], lambda x: x.tensor_split(3)),
    "x:tensor_split(5, 2)": ([[2, 3]], lambda x: x.tensor_split(5, 1)),
    "x:tensor_split({ 1, 3 }, 2)": ([[2, 5]], lambda x: x.tensor_split((1, 3), 1)),
    "x:tensor_split({ 3, 2, -1, 9 })": ([[5]], lambda x: x.tensor_split((3, 2, -1, 9))),
    "x:hsplit(2)": ([[2, 4]], lambda x: x.hsplit(2)),
    "ms.hsplit(x, { 1 })": ([[4]], lambda x: x.hsplit((1,))),
    "x:vsplit(2)": ([[4, 2]], lambda x: x.vsplit(2)),
    "x:dsplit({ 1, 2 })": ([[2, 1, 4]], lambda x: x.dsplit((1, 2))),
    "x:unbind()": ([[3, 2]], lambda x: x.unbind()),
    "x:unbind(-1)": ([[3, 2]], lambda x: x.unbind(-1)),
    "ms.broadcast_tensors { x, y, z }": ([[3, 1], [2], []], torch.broadcast_tensors),
    "ms.meshgrid(x, y)": ([[3], [2]], grid),
    "ms.meshgrid { x, y, z }": ([[3], [2], []], grid),
    "ms.meshgrid({ x, y, z }, { indexing = 'xy' })": ([[3], [2], [4]], lambda *v: torch.meshgrid(*v, indexing="xy")),
    "ms.cartesian_prod(x, y)": ([[3], [2]], torch.cartesian_prod),
    "ms.cartesian_prod { x, y, z }": ([[2], [1], [3]], torch.cartesian_prod),
    "ms.cartesian_prod { x }": ([[3]], torch.cartesian_prod),
    "ms.combinations(x)": ([[4]], torch.combinations),
    "x:combinations(3)": ([[4]], lambda x: torch.combinations(x, 3)),
    "x:combinations { with_replacement = true }": ([[3]], lambda x: torch.combinations(x, with_replacement=True)),
    "x:tensordot(y)": ([[2, 3, 4], [3, 4, 2]], torch.tensordot),
    "x:tensordot(y, 1)": ([[2, 3], [3, 4]], lambda x, y: torch.tensordot(x, y, 1)),
    "x:tensordot(y, 0)": ([[2], [3]], lambda x, y: torch.tensordot(x, y, 0)),
    "x:tensordot(y, { { 1, 3 }, { 2, 1 } })": ([[2, 3, 4], [4, 2, 5]], lambda x, y: torch.tensordot(x, y, ([0, 2], [1, 0]))),
    "ms.chain_matmul { x, y, z }": ([[2, 5], [5, 3], [3, 4]], lambda *v: torch.linalg.multi_dot(v)),
    "ms.multi_dot { x, y, z }": ([[5], [5, 3], [3]], lambda *v: torch.linalg.multi_dot(v)),
}
for equation, shapes in {
    "ij,jk->ik": [[2, 3], [3, 4]], "ij,jk": [[2, 3], [3, 4]], "ij,kj->ki": [[2, 3], [4, 3]], "bij,bjk->bik": [[2, 2, 3], [2, 3, 4]],
    "i,i->": [[4], [4]], "i,j->ij": [[2], [3]], "i,i": [[3], [3]], "ij->ji": [[2, 3]], "ij->": [[2, 3]], "ij->i": [[2, 3]], "ba": [[2, 3]],
    "ii->i": [[3, 3]], "ii": [[3, 3]], "iij->j": [[2, 2, 3]], "iji->ij": [[2, 3, 2]], "iiij,j->i": [[2, 2, 2, 3], [3]],
    "...ij,...jk->...ik": [[2, 1, 2, 3], [4, 3, 2]], "...,...": [[2, 3], [3]], "i...->...": [[2, 3, 2]], "...i->i": [[2, 3, 4]],
    "b...,b->...b": [[2, 3, 2], [2]], "ij,ij->ij": [[2, 3], [2, 3]], "ij,ij->i": [[2, 3], [2, 3]], "ij,j->ij": [[2, 3], [3]],
    "ij,jk,kl->il": [[2, 3], [3, 4], [4, 2]], "ij,kl,m->mkjil": [[2, 3], [1, 2], [2]], "bn,anm,bm->ba": [[2, 3], [4, 3, 2], [2, 2]],
    " i j , j k -> i k ": [[2, 3], [3, 2]], "ij,jk->ik ": [[2, 1], [3, 2]], "ab,bc->": [[2, 3], [3, 2]], "aB,Bc": [[2, 3], [3, 2]],
    "bhqd,bhkd->bhqk": [[1, 2, 3, 4], [1, 2, 2, 4]], "ij,jk->ki": [[0, 3], [3, 2]], ",i->i": [[], [3]], "ij,i->j": [[1, 3], [2]],
}.items():
    names = ", ".join("xyz"[: len(shapes)])
    EXPRESSIONS[f"ms.einsum('{equation}', {names})"] = (shapes, lambda *v, e=equation: torch.einsum(e, *v))


def values(shape, k):
    n = 1
    for s in shape:
        n *= s
    return torch.tensor([((i + 3 * k + 1) * 7919 % 61 - 30) / 16 for i in range(n)], dtype=f64).reshape(shape)


def plain(t):
    return {"shape": list(t.shape), "v": t.reshape(-1).tolist()}


def expression(shapes, f):
    xs = [values(s, k).requires_grad_() for k, s in enumerate(shapes)]
    out = f(*xs)
    out = list(out) if isinstance(out, (tuple, list)) else [out]
    total = sum((y * torch.arange(1, y.numel() + 1, dtype=f64).reshape(y.shape) / (k + 1)).sum() for k, y in enumerate(out))
    grads = torch.autograd.grad(total, xs)
    return [[plain(x.detach()) for x in xs], [plain(y.detach()) for y in out], [plain(g) for g in grads]]
