/* scatter_view.c -- the adjoints of views that leave elements out (zeros with a view of them filled), and padding and flipping. */
#include "core/core.h"

static int one(ms_vjp *c, ms_tensor *dx) { return (c->dx[0] = dx) ? 0 : -1; }

/* Zeros like result 0 of the call, and x copied into the view of them that `part` makes. */
static int unslice_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "unslice");
  int64_t start = s->attr[1].i, step = s->attr[2].i, size = s->attr[3].i;
  if (d < 0) return -1;
  if (start < 0) start += size;
  if (step < 1 || start < 0 || (x->shape[d] && (start >= size || x->shape[d] - 1 > (size - 1 - start) / step)))
    return ms_fail("unslice: %lld elements from %lld on by %lld do not fit into %lld", (long long)x->shape[d], (long long)start + 1,
                   (long long)step, (long long)size),
           -1;
  s->attr[0].i = d, s->attr[1].i = start;
  ms_ints v = ms_sizes(x);
  v.at[d] = size;
  return ms_out(s, 0, x->dtype, v.n, v.at);
}

static int unslice_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = c->out[0];
  int64_t d = c->attr[0].i;
  if (!ms_apply(MS_OP_fill_, MS_IN(r), MS_ATTR(A_NUM(0)))) return -1;
  return ms_copy_(ms_slice(r, d, c->attr[1].i, x->shape[d], c->attr[2].i), x) ? 0 : -1;
}

static int unslice_vjp(ms_vjp *c) {
  int64_t d = c->attr[0].i;
  return one(c, ms_slice(c->g[0], d, c->attr[1].i, c->x[0]->shape[d], c->attr[2].i));
}
MS_RULE(unslice, .shape = unslice_shape, .ref = unslice_ref, .vjp = unslice_vjp);

ms_tensor *ms_unslice(ms_tensor *x, int64_t dim, int64_t start, int64_t step, int64_t size) {
  return ms_apply(MS_OP_unslice, MS_IN(x), MS_ATTR(A_INT(dim), A_INT(start), A_INT(step), A_INT(size)));
}

static int undiagonal_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int64_t rows = s->attr[0].i, cols = s->attr[1].i;
  if (x->rank < 1 || x->rank == MS_MAX_RANK || x->shape[x->rank - 1] != (rows < cols ? rows : cols))
    return ms_fail("undiagonal: %s is not the diagonal of a %lld x %lld matrix", ms_shape_str(x), (long long)rows, (long long)cols),
           -1;
  ms_ints v = ms_sizes(x);
  v.at[v.n - 1] = rows, v.at[v.n++] = cols;
  return ms_out(s, 0, x->dtype, v.n, v.at);
}
static int undiagonal_ref(ms_ref *c) {
  ms_tensor *r = c->out[0];
  if (!ms_apply(MS_OP_fill_, MS_IN(r), MS_ATTR(A_NUM(0)))) return -1;
  return ms_copy_(ms_apply(MS_OP_diagonal, MS_IN(r), NULL), c->in[0]) ? 0 : -1;
}
static int undiagonal_vjp(ms_vjp *c) { return one(c, ms_apply(MS_OP_diagonal, MS_IN(c->g[0]), NULL)); }
MS_RULE(undiagonal, .shape = undiagonal_shape, .ref = undiagonal_ref, .vjp = undiagonal_vjp);

static int flip_shape(ms_infer *s) {
  if (ms_dims(&s->attr[0].v, s->in[0]->rank, "flip") < 0) return -1;
  return ms_out_like(s, 0, s->in[0]);
}
static int flip_vjp(ms_vjp *c) { return one(c, ms_flip(c->g[0], c->attr[0].v)); }
MS_RULE(flip, .shape = flip_shape, .vjp = flip_vjp);
ms_tensor *ms_flip(ms_tensor *x, ms_ints dims) { return ms_apply(MS_OP_flip, MS_IN(x), MS_ATTR(A_INTS(dims))); }

/* Negative pads crop. Padding with a value v: pad(x - v) + v. */
static int pad_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  ms_ints p = c->attr[0].v;
  double value = ms_scalar_value(c->attr[1].s);
  c->n_out = 1;
  if (p.n % 2 || p.n / 2 > x->rank)
    return ms_fail("pad: %d numbers for %s: expected two for each padded dimension", p.n, ms_shape_str(x)), -1;
  if (value - value != 0) return ms_fail("pad: value %g, expected a finite number", value), -1;
  bool shift = value != 0;
  if (shift) x = ms_sub(x, ms_number(value));
  for (int k = 0; x && k < p.n / 2; k++) {
    int d = x->rank - 1 - k;
    int64_t before = p.at[2 * k], after = p.at[2 * k + 1], n = x->shape[d];
    if (n + (before < 0 ? before : 0) + (after < 0 ? after : 0) < 0)
      return ms_fail("pad: nothing is left of dimension %d (size %lld)", d + 1, (long long)n), -1;
    if (before < 0 || after < 0) {
      int64_t skip = before < 0 ? -before : 0;
      x = ms_slice(x, d, skip, n - skip + (after < 0 ? after : 0), 1);
    }
    if (x && (before > 0 || after > 0))
      x = ms_unslice(x, d, before > 0 ? before : 0, 1, x->shape[d] + (before > 0 ? before : 0) + (after > 0 ? after : 0));
  }
  if (shift) x = ms_add(x, ms_number(value));
  return (c->out[0] = x) ? 0 : -1;
}
MS_RULE(pad, .ref = pad_ref);
