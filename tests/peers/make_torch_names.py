#!/usr/bin/env python3
"""Write tests/data/parity/torch_names.txt: the names PyTorch has where mascon has the like, one a line, with their home:

    name          a function of torch, torch.nn.functional or a method of tensors, all one list; name_ only where there is no name
    nn.NAME       a class of torch.nn         optim.NAME, lr_scheduler.NAME, init.NAME, utils.NAME (of torch.nn.utils), linalg.NAME,
    special.NAME  where it is no function of torch as well          func.NAME: torch.func and torch.autograd.functional

Left out is what PyTorch's manual does not show or what belongs to something else: the table LEFT_OUT. tests/peers/make_missing.lua makes
MISSING.md of this list. Needs torch.
"""
import os
import re

import torch
import torch.nn.functional as F
from torch.nn import utils

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "parity", "torch_names.txt")

# Of other libraries and kernels, of the quantised and sparse tensors' own insides, of how PyTorch dispatches.
LEFT_OUT = re.compile(r"""^(cudnn_|miopen_|mkldnn_|fbgemm_|native_|quantized_|sym_|hash_tensor|choose_qparams|fused_moving|fake_quantize|_)
  |_copy$|_copy_$|^(has_torch_function|handle_torch_function|boolean_dispatch|assert_int_or_pair|as_subclass|module_load|output_nr|name$|volatile
  |set_$|storage|untyped_storage|const_data_ptr|record_stream|reinforce|is_vulkan_available|is_(ipu|maia|meta|mps|mtia|vulkan|xla|xpu|mkldnn)$
  |ipu|xpu|mtia|batch_norm_(backward|elemt|gather|stats|update)|norm_except_dim|embedding_renorm_|affine_grid_generator|grid_sampler
  |constant_pad_nd|convolution$|empty_quantized|empty_permuted|segment_reduce|slice_inverse|unsafe_|new$|to_padded|to_mkldnn|(rnn|gru|lstm)
  |dsmm|hsmm|hspmm|smm|spmm|saddmm|sspaddmm|scalar_tensor|resize_as_sparse_|is_distributed|feature_dropout|binomial|dropout_$
  |symeig|solve$|eig$|lstsq$|qr$|cholesky$|common_(args|notes)|multi_dim_common|nonzero_static|conv_tbc|apply_$|map_$|map2_$|scaled_(mm|addmm)
  |scaled_grouped_mm|grouped_mm|unique_dim|is_set_to|dim_order|grad_dtype|has_names|names$|align|refine|rename)""", re.X)


def public(home, keep):
    return sorted(n for n in dir(home) if not n.startswith("_") and keep(n, getattr(home, n, None)))


def classes(home):
    return public(home, lambda n, v: isinstance(v, type) and v.__module__.startswith("torch") and n not in ("Tensor", "Optimizer"))


def functions(home):
    return public(home, lambda n, v: callable(v) and not isinstance(v, type))


def main():
    plain = set(functions(torch._C._VariableFunctions)) | set(functions(torch.functional)) | set(functions(F)) | set(public(torch.Tensor, lambda n, v: True))
    plain = {n for n in plain if n.isidentifier() and not LEFT_OUT.search(n) and n not in ("Optional", "torch", "H", "T", "mH", "mT")}
    plain = {n for n in plain if not (n.endswith("_") and n[:-1] in plain) and not (n.endswith("_") and n.rstrip("_") in ("sparse_resize_and_clear",))}
    lines = sorted(plain)
    lines += ["special." + n for n in functions(torch.special) if n not in plain and not LEFT_OUT.search(n)]
    lines += ["linalg." + n for n in functions(torch.linalg) if n not in plain and not n.startswith("common")]
    lines += ["nn." + n for n in classes(torch.nn) if not n.startswith("Uninitialized") and n not in ("Container", "NLLLoss2d", "RNNBase", "RNNCellBase")]
    lines += ["optim." + n for n in classes(torch.optim)]
    lines += ["lr_scheduler." + n for n in classes(torch.optim.lr_scheduler) if n != "LRScheduler"]
    lines += ["init." + n for n in functions(torch.nn.init) if n + "_" not in dir(torch.nn.init) and n != "Literal"]
    lines += ["utils." + n for n in functions(utils) if n + "_" not in dir(utils)]
    lines += ["func." + n for n in sorted(set(functions(torch.func)) | set(functions(torch.autograd.functional))) if "replace" not in n]
    with open(OUT, "w") as f:
        f.write(f"# Names of PyTorch {torch.__version__}; tests/peers/make_torch_names.py writes this file and says what is in it.\n")
        f.write("\n".join(lines) + "\n")
    print(len(lines), "names")


if __name__ == "__main__":
    main()
