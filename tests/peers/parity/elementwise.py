"""The lines of elementwise.def. One of the same name with one or two operands goes into UNARY or BINARY, any other into ROWS."""
import torch
import torch.nn.functional as F

from .base import adjoint, binary, operands, unary

aten = torch.ops.aten
UNARY = """neg abs sign square reciprocal sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh
atanh erf lgamma digamma relu sigmoid floor ceil round trunc isnan isinf isfinite logical_not""".split()
BINARY = """add sub mul div pow fmod remainder maximum minimum atan2 eq ne lt le gt ge logical_and logical_or logical_xor""".split()


def floor_div(x, y):
    """Whole numbers stay whole; by 0 they give 0 (PyTorch raises)."""
    if torch.is_floating_point(torch.as_tensor(x)) or torch.is_floating_point(torch.as_tensor(y)):
        return torch.floor_divide(x, y)
    x, y = torch.broadcast_tensors(torch.as_tensor(x), torch.as_tensor(y))
    zero = y == 0
    return torch.where(zero, 0, torch.floor_divide(x, torch.where(zero, 1, y)))


def loss_grad(f):
    """The derivative of a loss of elements in its first operand, times the third."""
    def run(a):
        x, y, z = torch.broadcast_tensors(*operands(a))
        return adjoint(lambda t: f(t, y, reduction="none"), x.clone(), z)
    return run


ROWS = {name: unary(name) for name in UNARY}
ROWS.update({name: binary(getattr(torch, name)) for name in BINARY})
ROWS.update({
    "floor_div": binary(floor_div),
    "tanh_grad": binary(lambda x, y: aten.tanh_backward(*torch.broadcast_tensors(x, y))),
    "sigmoid_grad": binary(lambda x, y: aten.sigmoid_backward(*torch.broadcast_tensors(x, y))),
    "relu_grad": binary(lambda x, y: torch.where(y > 0, x, torch.zeros((), dtype=x.dtype))),
    "leaky_relu": binary(lambda x, y: torch.where(x > 0, x, x * y)),
    "elu": binary(lambda x, y: torch.where(x > 0, x, y * torch.expm1(x))),
    "logsigmoid": lambda a: F.logsigmoid(a.x),
    "softplus": lambda a: torch.logaddexp(a.x, torch.zeros_like(a.x)),  # F.softplus gives x above its threshold
    "silu": lambda a: F.silu(a.x),
    "gelu": lambda a: F.gelu(a.x),
    "clamp": binary(torch.clamp),
    "lerp": binary(lambda x, y, z: torch.lerp(*torch.broadcast_tensors(x, y, z))),
    "where": binary(torch.where),
    "mul_add": binary(lambda x, y, z: x * y + z),
    "mse_loss_grad": loss_grad(F.mse_loss),
    "bce_loss_grad": loss_grad(F.binary_cross_entropy),
    "bce_with_logits_grad": loss_grad(F.binary_cross_entropy_with_logits),
})
