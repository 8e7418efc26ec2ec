"""Picking and writing by position or mask."""
import torch.nn.functional as F

ROWS = {
    "index_select": lambda a: a.x.index_select(a.dim, a["index"]),
    "index_add": lambda a: a.x.index_add(a.dim, a["index"], a.src),
    "gather": lambda a: a.x.gather(a.dim, a["index"]),
    "scatter_add": lambda a: a.x.scatter_add(a.dim, a["index"], a.src),
    "one_hot": lambda a: F.one_hot(a["index"], a.classes).to(a.dtype),
    "masked_fill": lambda a: a.x.masked_fill(a.mask, a.value),
}
