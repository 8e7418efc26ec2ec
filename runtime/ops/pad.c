/* pad.c -- what is put on before and after the elements of a dimension, or (negative numbers) taken off: a value, or the tensor's
 * own elements mirrored, repeated or begun anew. */
#include "compose.h"

/* ---- a value: the result is filled with it, and what is left of x copied into its place there ---------------------------------
 */

/* Of dimension d of `size` elements, with `before` and `after` put on or taken off: what is left of it begins at *from, is *n long,
 * and goes to *to of the result. */
static void padded(const ms_ints *p, int rank, int d, int64_t size, int64_t *from, int64_t *n, int64_t *to) {
  const int k = rank - 1 - d;
  const int64_t before = 2 * k < p->n ? p->at[2 * k] : 0, after = 2 * k < p->n ? p->at[2 * k + 1] : 0;
  *from = before < 0 ? -before : 0, *to = before > 0 ? before : 0;
  *n = size - *from + (after < 0 ? after : 0);
}

static int constant_pad_shape(ms_infer *s) {
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
        return ms_fail("pad: %lld at dimension %d of %s, expected no more taken off than there is", (long long)p->at[2 * k + i],
                       d + 1, ms_shape_str(x)),
               -1;
    int64_t from, n, to;
    padded(p, x->rank, d, x->shape[d], &from, &n, &to);
    if (n < 0) return ms_fail("pad: nothing is left of dimension %d (size %lld)", d + 1, (long long)x->shape[d]), -1;
    v.at[d] += p->at[2 * k] + p->at[2 * k + 1];
  }
  return ms_out(s, 0, x->dtype, v.n, v.at);
}

static int constant_pad_ref(ms_ref *c) {
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

static int constant_pad_vjp(ms_vjp *c) {
  ms_ints back = c->attr[0].v;
  for (int i = 0; i < back.n; i++) back.at[i] = -back.at[i];
  return ms_give_dx(c, ms_constant_pad(c->g[0], back, 0));
}
MS_RULE(constant_pad, .shape = constant_pad_shape, .ref = constant_pad_ref, .vjp = constant_pad_vjp, .live = true);
ms_tensor *ms_constant_pad(ms_tensor *x, ms_ints pads, double value) {
  return ms_apply(MS_OP_constant_pad, MS_IN(x), MS_ATTR(A_INTS(pads), A_NUM(value)));
}

/* ---- elements of x: pieces of it and x itself are joined, dimension by dimension ----------------------------------------------
 */

enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR }; /* as in the row */

/* n elements to stand before (or after) dimension d of x. */
static ms_tensor *piece(ms_tensor *x, int d, int64_t n, bool before, int mode) {
  const int64_t size = x->shape[d];
  if (mode == REPLICATE) {
    ms_ints v = ms_sizes(x);
    v.at[d] = n;
    return ms_expand(ms_slice(x, d, before ? 0 : size - 1, 1, 1), v);
  }
  if (mode == CIRCULAR) return ms_slice(x, d, before ? size - n : 0, n, 1);
  return ms_flip(ms_slice(x, d, before ? 1 : size - 1 - n, n, 1), MS_INTS(d));
}

static ms_tensor *crop(ms_tensor *x, int d, int64_t before, int64_t after) {
  const int64_t from = before < 0 ? -before : 0, n = x->shape[d] - from + (after < 0 ? after : 0);
  if (n < 0) return ms_fail("pad: nothing is left of dimension %d (size %lld)", d + 1, (long long)x->shape[d]);
  return n == x->shape[d] ? x : ms_slice(x, d, from, n, 1);
}

static ms_tensor *pad_dim(ms_tensor *x, int d, int64_t before, int64_t after, int mode) {
  if (mode == CIRCULAR && !(x = crop(x, d, before, after))) return NULL;
  const int64_t most = mode == REFLECT ? x->shape[d] - 1 : mode == CIRCULAR ? x->shape[d] : x->shape[d] ? INT64_MAX / 4 : 0;
  static const char *const words[] = {"", "reflected: expected less than the size", "repeated: expected a size of 1 or more",
                                      "wrapped around: expected the size at most"};
  if (before > most || after > most)
    return ms_fail("pad: %lld and %lld elements at dimension %d of %s cannot be %s", (long long)before, (long long)after, d + 1,
                   ms_shape_str(x), words[mode]);
  ms_tensor *part[3], *r;
  int n = 0;
  if (before > 0) part[n++] = piece(x, d, before, true, mode);
  part[n++] = x;
  if (after > 0) part[n++] = piece(x, d, after, false, mode);
  r = n > 1 ? ms_cat(n, part, d) : x;
  return mode == CIRCULAR || !r ? r : crop(r, d, before < 0 ? before : 0, after < 0 ? after : 0);
}

static int pad_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const ms_ints pads = c->attr[0].v;
  const int mode = (int)c->attr[1].i;
  ms_plain value;
  if (mode == CONSTANT) return ms_give(c, ms_apply(MS_OP_constant_pad, MS_IN(x), MS_ATTR(c->attr[0], c->attr[2])));
  if (!ms_scalar_constant(c->attr[2].s, &value) || value.value != 0)
    return ms_fail("pad: a value is for mode 'constant'; the others put in elements of x"), -1;
  if (pads.n % 2 || pads.n / 2 > x->rank)
    return ms_fail("pad: %d numbers for %s: expected two for each padded dimension", pads.n, ms_shape_str(x)), -1;
  for (int k = 0; k < pads.n / 2 && x; k++) {
    const int64_t before = pads.at[2 * k], after = pads.at[2 * k + 1];
    if (before < -INT32_MAX || after < -INT32_MAX) return ms_fail("pad: %lld, %lld", (long long)before, (long long)after), -1;
    x = pad_dim(x, x->rank - 1 - k, before, after, mode);
  }
  return ms_give(c, x);
}
MS_RULE(pad, .ref = pad_ref, .live = true);
