"""What masks and comparisons choose, and how many of what there is: results whose size depends on the data, and their kin."""
import torch


def masked(name):
    def f(a):
        getattr(a["x"], name)(a["mask"], a["value"] if "value" in a else a["source"])
        return ()
    return f


def true_positions(a):
    at = a["mask"].nonzero()[: a["count"]]
    if a["flat"]:
        return a["mask"].reshape(-1).nonzero()[: a["count"], 0] + 1
    return at + 1


def row_order(a):
    rows = a.x.tolist()
    return torch.tensor(sorted(range(len(rows)), key=lambda k: rows[k]), dtype=torch.int64) + 1


def from_1(values, a):
    """(values, inverse, counts): the inverse counts from 1, and only what was asked for is given."""
    out = [values] if torch.is_tensor(values) else list(values)
    if a.return_inverse:
        out[1] = out[1] + 1
    return tuple(out)


ROWS = {
    "masked_fill": lambda a: a.x.masked_fill(a.mask, a.value),
    "masked_fill_": masked("masked_fill_"),
    "masked_select": lambda a: a.x.masked_select(a.mask),
    "masked_scatter": lambda a: a.x.masked_scatter(a.mask, a.source),
    "masked_scatter_": masked("masked_scatter_"),
    "nonzero": lambda a: a.x.nonzero() + 1,
    "argwhere": lambda a: torch.argwhere(a.x) + 1,
    "count_nonzero": lambda a: torch.count_nonzero(a.x, a.dims),
    "true_positions": true_positions,
    "unique": lambda a: from_1(torch.unique(a.x, sorted=a["sorted"], return_inverse=a.return_inverse, return_counts=a.return_counts, dim=a.dim), a),
    "unique_consecutive": lambda a: from_1(torch.unique_consecutive(a.x, return_inverse=a.return_inverse, return_counts=a.return_counts, dim=a.dim), a),
    "row_order": row_order,
    "search": lambda a: torch.searchsorted(a["sorted"], a["values"], right=a.right) + 1,
    "searchsorted": lambda a: torch.searchsorted(a["sorted"], a["values"], right=a.right) + 1,
    "bucketize": lambda a: torch.bucketize(a.x, a.boundaries, right=a.right) + 1,
    "isin": lambda a: torch.isin(a.elements, a.test_elements, invert=a.invert),
    "bincount": lambda a: torch.bincount(a.x, a["weights"], a.minlength),
    "histc": lambda a: torch.histc(a.x, a.bins, a.min, a.max),
    "tril_indices": lambda a: torch.tril_indices(a.rows, a.cols, a.offset, dtype=a.dtype) + 1,
    "triu_indices": lambda a: torch.triu_indices(a.rows, a.cols, a.offset, dtype=a.dtype) + 1,
}
