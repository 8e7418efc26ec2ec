"""The lines of elementwise.def. One of the same name with one or two operands goes into UNARY or BINARY, any other into ROWS."""
import torch
import torch.nn.functional as F

from .base import adjoint, binary, operands, unary

aten = torch.ops.aten
UNARY = """neg abs sign square reciprocal sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh
atanh erf lgamma digamma relu sigmoid floor ceil round trunc isnan isinf isfinite logical_not frac deg2rad rad2deg isposinf isneginf signbit
positive""".split()
BINARY = """add sub mul div pow fmod remainder maximum minimum atan2 eq ne lt le gt ge logical_and logical_or logical_xor fmax fmin hypot
copysign heaviside logaddexp xlogy bitwise_left_shift bitwise_right_shift gcd lcm bitwise_and bitwise_or bitwise_xor
float_power ldexp clamp_min clamp_max""".split()


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
    "clamp": binary(torch.clamp),
    "lerp": binary(lambda x, y, z: torch.lerp(*torch.broadcast_tensors(x, y, z))),
    "where": binary(torch.where),
    "mul_add": binary(lambda x, y, z: x * y + z),
    "mse_loss_grad": loss_grad(F.mse_loss),
    "bce_loss_grad": loss_grad(F.binary_cross_entropy),
    "logaddexp2": binary(lambda x, y: torch.where(x == y, x + 1, torch.logaddexp2(x, y))),  # PyTorch's rounds where the logarithms are equal
    "and_bits": binary(torch.bitwise_and),
    "or_bits": binary(torch.bitwise_or),
    "xor_bits": binary(torch.bitwise_xor),
    "bitwise_not": lambda a: torch.bitwise_not(a.x),
    "addcmul": lambda a: torch.addcmul(a.x, a.tensor1, a.tensor2, value=a.value),
    "addcdiv": lambda a: torch.addcdiv(a.x, a.tensor1, a.tensor2, value=a.value),
    "rsub": lambda a: torch.rsub(a.x, a.other, alpha=a.alpha),
    "divide": lambda a: torch.div(a.x, a.y, rounding_mode=None if a.rounding_mode == "none" else a.rounding_mode),
    "nan_to_num": lambda a: torch.nan_to_num(a.x, a.nan, a.posinf, a.neginf),
    "bce_with_logits_grad": loss_grad(F.binary_cross_entropy_with_logits),
})
