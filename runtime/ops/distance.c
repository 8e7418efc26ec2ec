/* distance.c -- distances between the rows of matrices, from their differences: near points lose no digits, as they would by
 * |x|^2 + |y|^2 - 2 x y. Where a distance is 0 its gradient is 0, as PyTorch has it. */
#include "compose.h"
#include <math.h>
#include <stdlib.h>

/* The p-norm of the last dimension of `difference`. */
static ms_tensor *length(ms_tensor *difference, double p) {
  if (!difference) return NULL;
  const ms_ints last = MS_INTS(difference->rank - 1);
  ms_tensor *zero, *sum;
  if (p == 0) return ms_sum(ms_cast(ms_ne(difference, ms_number(0)), difference->dtype), last, false);
  if (p == 1) return ms_sum(ms_abs(difference), last, false);
  if (isinf(p)) return difference->shape[last.at[0]] ? ms_amax(ms_abs(difference), last, false) : ms_sum(difference, last, false);
  if (p == 2) sum = ms_sum(ms_square(difference), last, false);
  else {
    zero = ms_eq(difference, ms_number(0));
    sum = ms_sum(ms_where(zero, ms_number(0), ms_pow(ms_abs(ms_where(zero, ms_number(1), difference)), ms_number(p))), last, false);
  }
  zero = ms_eq(sum, ms_number(0));
  sum = ms_where(zero, ms_number(1), sum);
  return ms_where(zero, ms_number(0), p == 2 ? ms_sqrt(sum) : ms_pow(sum, ms_number(1 / p)));
}

static int check_p(const ms_ref *c, double p) {
  return p >= 0 ? 0 : (ms_fail("%s: p = %g, expected 0 or more", c->op->name, p), -1);
}

static int cdist_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *y = c->in[1];
  const double p = ms_decided(c->attr[0].s);
  if (check_p(c, p) < 0) return -1;
  if (x->rank < 2 || y->rank < 2 || x->rank == MS_MAX_RANK || y->rank == MS_MAX_RANK ||
      x->shape[x->rank - 1] != y->shape[y->rank - 1])
    return ms_fail("cdist: %s and %s: expected matrices with rows of one length", ms_shape_str(x), ms_shape_str(y)), -1;
  return ms_give(c, length(ms_sub(ms_unsqueeze(x, -2), ms_unsqueeze(y, -3)), p));
}
MS_RULE(cdist, .ref = cdist_ref);

/* Rows 1 and 2, 1 and 3, ..., 2 and 3, ... */
static int pdist_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const double p = ms_decided(c->attr[0].s);
  if (check_p(c, p) < 0) return -1;
  if (x->rank != 2) return ms_fail("pdist: expected two dimensions, got %s", ms_shape_str(x)), -1;
  const int64_t n = x->shape[0];
  if (n < 2) return ms_give(c, length(ms_slice(x, 0, 0, 0, 1), p));
  ms_tensor **part = malloc((size_t)(2 * n) * sizeof(ms_tensor *)), **other = part + n, *r = NULL;
  if (!part) return ms_fail("pdist: out of memory"), -1;
  bool ok = true;
  for (int64_t i = 0; i < n - 1 && ok; i++) {
    part[i] = ms_expand(ms_slice(x, 0, i, 1, 1), MS_INTS(n - 1 - i, x->shape[1]));
    other[i] = ms_slice(x, 0, i + 1, n - 1 - i, 1);
    ok = part[i] && other[i];
  }
  if (ok) r = length(ms_sub(ms_cat((int)n - 1, part, 0), ms_cat((int)n - 1, other, 0)), p);
  free(part);
  return ms_give(c, r);
}
MS_RULE(pdist, .ref = pdist_ref);
