"""Tables of rows; the bilinear form."""
import torch.nn.functional as F

ROWS = {
    "embedding": lambda a: F.embedding(a["index"], a.weight, a.padding_idx),
    "bilinear": lambda a: F.bilinear(a.x1, a.x2, a.weight, a.bias),
}
