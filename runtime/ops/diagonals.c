/* diagonals.c -- diagonals of matrices: the view `diagonal`, its adjoint, matrices made of a diagonal or of blocks on it,
 * triangles. */
#include "compose.h"
#include <stdlib.h>

enum { OFFSET, DIM1, DIM2 }; /* attributes of diagonal */

/* Of a rows x cols matrix: how long the diagonal is that begins `offset` right of the corner (below 0: under it). */
static int64_t length(int64_t rows, int64_t cols, int64_t offset) {
  if (offset >= 0) cols = offset < cols ? cols - offset : 0;
  else rows = offset > -rows ? rows + offset : 0;
  return rows < cols ? rows : cols;
}

static int two_dims(ms_attr *attr, int rank, const char *op) {
  const int a = ms_dim(attr[DIM1].i, rank, op), b = a < 0 ? -1 : ms_dim(attr[DIM2].i, rank, op);
  if (b < 0) return -1;
  if (a == b) return ms_fail("%s: dim1 and dim2 are both dimension %d, expected two", op, a + 1), -1;
  attr[DIM1].i = a, attr[DIM2].i = b;
  return 0;
}

static int diagonal_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_spec *o = &s->out[0];
  if (x->rank < 2) return ms_fail("diagonal: expected two dimensions or more, got %s", ms_shape_str(x)), -1;
  if (two_dims(s->attr, x->rank, "diagonal") < 0) return -1;
  const int64_t offset = s->attr[OFFSET].i;
  const int a = (int)s->attr[DIM1].i, b = (int)s->attr[DIM2].i;
  o->dtype = x->dtype, o->rank = 0, o->offset = x->offset;
  for (int i = 0; i < x->rank; i++)
    if (i != a && i != b) o->shape[o->rank] = x->shape[i], o->stride[o->rank++] = x->stride[i];
  o->shape[o->rank] = length(x->shape[a], x->shape[b], offset);
  o->stride[o->rank] = x->stride[a] + x->stride[b];
  if (o->shape[o->rank++]) o->offset += offset >= 0 ? offset * x->stride[b] : -offset * x->stride[a];
  s->n_out = 1;
  return 0;
}

static ms_tensor *undiagonal(ms_tensor *x, int64_t rows, int64_t cols, int64_t offset, int64_t dim1, int64_t dim2) {
  return ms_apply(MS_OP_undiagonal, MS_IN(x), MS_ATTR(A_INT(rows), A_INT(cols), A_INT(offset), A_INT(dim1), A_INT(dim2)));
}

static int diagonal_vjp(ms_vjp *c) {
  const ms_tensor *x = c->x[0];
  const int64_t a = c->attr[DIM1].i, b = c->attr[DIM2].i;
  return ms_give_dx(c, undiagonal(c->g[0], x->shape[a], x->shape[b], c->attr[OFFSET].i, a, b));
}
MS_RULE(diagonal, .shape = diagonal_shape, .vjp = diagonal_vjp);

static ms_tensor *diagonal(ms_tensor *x, int64_t offset, int64_t dim1, int64_t dim2) {
  return ms_apply(MS_OP_diagonal, MS_IN(x), MS_ATTR(A_INT(offset), A_INT(dim1), A_INT(dim2)));
}

/* ---- the adjoint: zeros with x on the diagonal of dimensions dim1, dim2 of the result -----------------------------------------
 */

enum { ROWS, COLS, AT }; /* attributes of undiagonal; behind them those of diagonal */

static int undiagonal_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int64_t rows = s->attr[ROWS].i, cols = s->attr[COLS].i;
  if (x->rank < 1 || x->rank == MS_MAX_RANK || x->shape[x->rank - 1] != length(rows, cols, s->attr[AT].i))
    return ms_fail("undiagonal: %s is no diagonal of a %lld x %lld matrix", ms_shape_str(x), (long long)rows, (long long)cols), -1;
  if (two_dims(s->attr + AT, x->rank + 1, "undiagonal") < 0) return -1;
  ms_ints v = {.n = x->rank + 1};
  for (int i = 0, k = 0; i < v.n; i++)
    v.at[i] = i == s->attr[AT + DIM1].i ? rows : i == s->attr[AT + DIM2].i ? cols : x->shape[k++];
  return ms_out(s, 0, x->dtype, v.n, v.at);
}
static ms_tensor *diagonal_of(ms_tensor *x, const ms_attr *attr) { return ms_apply(MS_OP_diagonal, MS_IN(x), attr + AT); }
static int undiagonal_ref(ms_ref *c) {
  ms_tensor *r = c->out[0];
  if (!ms_apply(MS_OP_fill_, MS_IN(r), MS_ATTR(A_NUM(0)))) return -1;
  return ms_copy_(diagonal_of(r, c->attr), c->in[0]) ? 0 : -1;
}
static int undiagonal_vjp(ms_vjp *c) { return ms_give_dx(c, diagonal_of(c->g[0], c->attr)); }
MS_RULE(undiagonal, .shape = undiagonal_shape, .ref = undiagonal_ref, .vjp = undiagonal_vjp);

static ms_tensor *diag_embed(ms_tensor *x, int64_t offset, int64_t dim1, int64_t dim2, const char *op) {
  if (!x) return NULL;
  if (!x->rank) return ms_fail("%s: expected one dimension or more, got a scalar", op);
  if (offset > INT32_MAX || offset < -INT32_MAX) return ms_fail("%s: offset %lld is out of range", op, (long long)offset);
  const int64_t n = x->shape[x->rank - 1] + (offset < 0 ? -offset : offset);
  return undiagonal(x, n, n, offset, dim1, dim2);
}
static int diag_embed_ref(ms_ref *c) {
  return ms_give(c, diag_embed(c->in[0], c->attr[OFFSET].i, c->attr[DIM1].i, c->attr[DIM2].i, "diag_embed"));
}
MS_RULE(diag_embed, .ref = diag_embed_ref);

static int diag_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const int64_t offset = c->attr[0].i;
  if (x->rank == 1) return ms_give(c, diag_embed(x, offset, 0, 1, "diag"));
  if (x->rank != 2) return ms_fail("diag: expected one or two dimensions, got %s", ms_shape_str(x)), -1;
  return ms_give(c, diagonal(x, offset, 0, 1));
}
MS_RULE(diag, .ref = diag_ref);

static int diagflat_ref(ms_ref *c) {
  return ms_give(c, diag_embed(ms_reshape(c->in[0], MS_INTS(ms_numel(c->in[0]))), c->attr[0].i, 0, 1, "diagflat"));
}
MS_RULE(diagflat, .ref = diagflat_ref);

static int trace_ref(ms_ref *c) {
  if (c->in[0]->rank != 2) return ms_fail("trace: expected two dimensions, got %s", ms_shape_str(c->in[0])), -1;
  return ms_give(c, ms_sum_all(diagonal(c->in[0], 0, 0, 1)));
}
MS_RULE(trace, .ref = trace_ref);

/* ---- triangles: column - row <= diagonal stays (tril), or >= (triu); the rest becomes 0 ----------------------------------------
 */

static int triangle(ms_ref *c, bool lower) {
  ms_tensor *x = c->in[0];
  if (x->rank < 2) return ms_fail("%s: expected two dimensions or more, got %s", c->op->name, ms_shape_str(x)), -1;
  const int64_t rows = x->shape[x->rank - 2], cols = x->shape[x->rank - 1], k = c->attr[0].i;
  const int64_t shift = k > cols ? cols : k < -rows ? -rows : k; /* further out nothing changes any more */
  ms_tensor *row = ms_unsqueeze(ms_counting(shift, rows, 1, x->device), 1), *column = ms_counting(0, cols, 1, x->device);
  return ms_give(c, ms_where(lower ? ms_ge(row, column) : ms_le(row, column), x, ms_whole_number(0)));
}
static int tril_ref(ms_ref *c) { return triangle(c, true); }
MS_RULE(tril, .ref = tril_ref);
static int triu_ref(ms_ref *c) { return triangle(c, false); }
MS_RULE(triu, .ref = triu_ref);

/* ---- blocks ------------------------------------------------------------------------------------------------------------------ */

/* Each block padded with zeros to the width of all, one below the other. */
static int block_diag_ref(ms_ref *c) {
  ms_tensor **x = malloc((size_t)(c->n_in ? c->n_in : 1) * sizeof(ms_tensor *)), *r = NULL;
  if (!x) return ms_fail("block_diag: out of memory for %d operands", c->n_in), -1;
  int64_t width = 0, at = 0;
  int dtype = c->n_in ? c->in[0]->dtype : MS_F32;
  bool ok = true;
  for (int i = 0; i < c->n_in && ok; i++) {
    ok = c->in[i]->rank <= 2;
    if (!ok) ms_fail("block_diag: tensor %d is %s, expected two dimensions at most", i + 1, ms_shape_str(c->in[i]));
    else {
      x[i] = c->in[i]->rank == 2 ? c->in[i] : ms_reshape(c->in[i], MS_INTS(1, ms_numel(c->in[i])));
      if ((ok = x[i] != NULL)) width += x[i]->shape[1];
      dtype = ms_promote(dtype, c->in[i]->dtype);
    }
  }
  for (int i = 0; i < c->n_in && ok; i++) {
    const int64_t n = x[i]->shape[1];
    x[i] = ms_constant_pad(ms_cast(x[i], dtype), MS_INTS(at, width - at - n), 0);
    at += n, ok = x[i] != NULL;
  }
  if (ok) r = ms_cat(c->n_in, x, 0);
  free(x);
  return ms_give(c, r);
}
MS_RULE(block_diag, .ref = block_diag_ref);
