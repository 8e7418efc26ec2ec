/* scatter_view.c -- what the derivatives of views need that leave elements out (slice, diagonal): zeros, into a view of which x is
 * copied; and flip and pad. */
#include "core/core.h"

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
  return ms_give_dx(c, ms_slice(c->g[0], d, c->attr[1].i, c->x[0]->shape[d], c->attr[2].i));
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
static int undiagonal_vjp(ms_vjp *c) { return ms_give_dx(c, ms_apply(MS_OP_diagonal, MS_IN(c->g[0]), NULL)); }
MS_RULE(undiagonal, .shape = undiagonal_shape, .ref = undiagonal_ref, .vjp = undiagonal_vjp);

static int flip_shape(ms_infer *s) {
  if (ms_dims(&s->attr[0].v, s->in[0]->rank, "flip") < 0) return -1;
  return ms_out_like(s, 0, s->in[0]);
}
static int flip_vjp(ms_vjp *c) { return ms_give_dx(c, ms_flip(c->g[0], c->attr[0].v)); }
MS_RULE(flip, .shape = flip_shape, .vjp = flip_vjp);
ms_tensor *ms_flip(ms_tensor *x, ms_ints dims) { return ms_apply(MS_OP_flip, MS_IN(x), MS_ATTR(A_INTS(dims))); }

/* ---- pad: negative numbers crop. The result is filled with the value, and what is left of x copied into its place there. --------
 */

/* Of dimension d of `size` elements, with `before` and `after` put on or taken off: what is left of it begins at *from, is *n long,
 * and goes to *to of the result. */
static void padded(const ms_ints *p, int rank, int d, int64_t size, int64_t *from, int64_t *n, int64_t *to) {
  const int k = rank - 1 - d;
  const int64_t before = 2 * k < p->n ? p->at[2 * k] : 0, after = 2 * k < p->n ? p->at[2 * k + 1] : 0;
  *from = before < 0 ? -before : 0, *to = before > 0 ? before : 0;
  *n = size - *from + (after < 0 ? after : 0);
}

static int pad_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const ms_ints *p = &s->attr[0].v;
  if (p->n % 2 || p->n / 2 > x->rank)
    return ms_fail("pad: %d numbers for %s: expected two for each padded dimension", p->n, ms_shape_str(x)), -1;
  if (!ms_scalar_fits(s->attr[1].s, x->dtype) && x->dtype != MS_BOOL)
    return ms_fail("pad: x is %s, which cannot hold %s", ms_shape_str(x), ms_scalar_str(s->attr[1].s)), -1;
  ms_ints v = ms_sizes(x);
  for (int k = 0; k < p->n / 2; k++) {
    const int d = x->rank - 1 - k;
    for (int i = 0; i < 2; i++)
      if (p->at[2 * k + i] > INT64_MAX / 4 || p->at[2 * k + i] < -x->shape[d])
        return ms_fail("pad: %lld at dimension %d of %s", (long long)p->at[2 * k + i], d + 1, ms_shape_str(x)), -1;
    int64_t from, n, to;
    padded(p, x->rank, d, x->shape[d], &from, &n, &to);
    if (n < 0) return ms_fail("pad: nothing is left of dimension %d (size %lld)", d + 1, (long long)x->shape[d]), -1;
    v.at[d] += p->at[2 * k] + p->at[2 * k + 1];
  }
  return ms_out(s, 0, x->dtype, v.n, v.at);
}

static int pad_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = c->out[0], *inner = r;
  if (!ms_apply(MS_OP_fill_, MS_IN(r), MS_ATTR(c->attr[1]))) return -1;
  for (int d = 0; x && inner && d < c->in[0]->rank; d++) {
    int64_t from, n, to;
    padded(&c->attr[0].v, c->in[0]->rank, d, c->in[0]->shape[d], &from, &n, &to);
    if (n != x->shape[d]) x = ms_slice(x, d, from, n, 1);
    if (n != inner->shape[d]) inner = ms_slice(inner, d, to, n, 1);
  }
  return ms_copy_(inner, x) ? 0 : -1;
}

static int pad_vjp(ms_vjp *c) {
  ms_ints back = c->attr[0].v;
  for (int i = 0; i < back.n; i++) back.at[i] = -back.at[i];
  return ms_give_dx(c, ms_apply(MS_OP_pad, MS_IN(c->g[0]), MS_ATTR(A_INTS(back), A_NUM(0))));
}
MS_RULE(pad, .shape = pad_shape, .ref = pad_ref, .vjp = pad_vjp, .live = true);
