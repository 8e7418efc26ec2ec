/* scan.c -- running results along a dimension: sums, products, the largest and smallest so far, log of sums of exponentials. */
#include "reduce.h"
#include <math.h>

/* Attributes: dim, dtype. */
static int sum_like_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int d = ms_dim(s->attr[0].i, x->rank, s->op->name);
  if (d < 0) return -1;
  s->attr[0].i = d;
  return ms_out(s, 0, ms_sum_dtype(x, s->attr[1].i), x->rank, x->shape);
}

/* ---- cumsum: its adjoint is the running sum from the other end --------------------------------------------------- */

static ms_tensor *cumsum(ms_tensor *x, int64_t d) { return ms_apply(MS_OP_cumsum, MS_IN(x), MS_ATTR(A_INT(d))); }

/* For the kernel: terms of a dtype that it adds up. */
static int cumsum_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *terms = ms_as_terms(x, ms_sum_dtype(x, c->attr[1].i));
  if (!terms || (terms == x && !c->attr[1].i)) return ms_fail("cumsum: no kernel for %s", ms_shape_str(x)), -1;
  return ms_copy_(c->out[0], cumsum(terms, c->attr[0].i)) ? 0 : -1;
}
static int cumsum_vjp(ms_vjp *c) {
  const ms_ints d = MS_INTS(c->attr[0].i);
  ms_tensor *g = ms_cast(c->g[0], c->x[0]->dtype);
  return ms_give_dx(c, ms_flip(cumsum(ms_flip(g, d), d.at[0]), d));
}
MS_RULE(cumsum, .shape = sum_like_shape, .ref = cumsum_ref, .vjp = cumsum_vjp);

/* ---- any associative operation, composed so that derivatives of any order follow and zeros do no harm ---------------
 * Neighbours become one (half as many), those are scanned, and each of them gives two results: its own, and with the element before
 * it left out. All levels together cost a few passes over x. */

typedef ms_tensor *(*pair_fn)(ms_tensor *x, ms_tensor *y);

static ms_tensor *scan(ms_tensor *x, int64_t d, pair_fn f) {
  if (!x || x->shape[d] < 2) return x;
  const int64_t n = x->shape[d], half = n / 2, rest = (n - 1) / 2; /* pairs; elements at even places behind the first */
  ms_tensor *even = ms_slice(x, d, 0, n - half, 2), *odd = ms_slice(x, d, 1, half, 2);
  ms_tensor *pairs = scan(f(ms_slice(even, d, 0, half, 1), odd), d, f); /* the results at odd places */
  ms_tensor *first = ms_slice(x, d, 0, 1, 1), *r;
  if (!pairs || !first) return NULL;
  if (rest) {
    ms_tensor *later = f(ms_slice(pairs, d, 0, rest, 1), ms_slice(even, d, 1, rest, 1));
    first = ms_cat(2, (ms_tensor *[]){first, later}, d); /* the results at even places */
  }
  ms_ints size = ms_sizes(x);
  size.at[d] = 2 * half;
  r = ms_cat(2, (ms_tensor *[]){ms_unsqueeze(ms_slice(first, d, 0, half, 1), d + 1), ms_unsqueeze(pairs, d + 1)}, d + 1);
  r = ms_reshape(r, size);
  return n % 2 ? ms_cat(2, (ms_tensor *[]){r, ms_slice(first, d, half, 1, 1)}, d) : r;
}

static int cumprod_ref(ms_ref *c) {
  const int to = ms_sum_dtype(c->in[0], c->attr[1].i);
  ms_tensor *x = ms_as_terms(c->in[0], to);
  if (x && !ms_dtype_is_float(x->dtype)) x = ms_cast(x, MS_I64);
  ms_tensor *r = ms_cast(scan(x, c->attr[0].i, ms_mul), to);
  return ms_give(c, r == c->in[0] ? ms_apply(MS_OP_clone, MS_IN(r), NULL) : r);
}
MS_RULE(cumprod, .shape = sum_like_shape, .ref = cumprod_ref);

static int logcumsumexp_ref(ms_ref *c) {
  ms_tensor *x = ms_wide(c->in[0]);
  const int d = x ? ms_dim(c->attr[0].i, x->rank, "logcumsumexp") : -1;
  return d < 0 ? -1 : ms_give(c, ms_cast(scan(x, d, ms_logaddexp), c->in[0]->dtype));
}
MS_RULE(logcumsumexp, .ref = logcumsumexp_ref);

/* ---- the largest and smallest so far, and where they were -------------------------------------------------------- */

static int extreme_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int d = ms_dim(s->attr[0].i, x->rank, s->op->name);
  if (d < 0) return -1;
  s->attr[0].i = d;
  return ms_out_like(s, 0, x) < 0 ? -1 : ms_out(s, 1, MS_I64, x->rank, x->shape);
}
static int extreme_vjp(ms_vjp *c) { return ms_give_dx(c, ms_scatter_add(ms_zeros_like(c->x[0]), c->attr[0].i, c->r[1], c->g[0])); }
MS_RULE(cummax, .shape = extreme_shape, .vjp = extreme_vjp, .keep_out = 2);
MS_RULE(cummin, .shape = extreme_shape, .vjp = extreme_vjp, .keep_out = 2);
