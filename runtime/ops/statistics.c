/* statistics.c -- reductions that are composed of others: variance and what follows from it, norms, logsumexp, sums without NaN,
 * covariance. Half precision is computed in f32. */
#include "reduce.h"
#include <math.h>

/* ---- variance ---------------------------------------------------------------------------------------------------- */

static ms_tensor *variance(ms_tensor *x, ms_ints d, double correction, bool keep) {
  if (!x || ms_dims(&d, x->rank, "var") < 0) return NULL;
  const double n = ms_count_of(x, d) - correction;
  ms_tensor *diff = ms_sub(x, ms_mean(x, d, true));
  return ms_div(ms_sum(ms_square(diff), d, keep), ms_number(n > 0 ? n : 0));
}

/* Roots have no slope at 0; where 0 is the least there can be, PyTorch's choice is 0. x^p = 0 at x = 0, with slope 0. */
static ms_tensor *flat_power(ms_tensor *x, double p) {
  ms_tensor *zero = ms_eq(x, ms_number(0)), *tame = ms_where(zero, ms_number(1), x);
  return ms_where(zero, ms_number(0), p == 0.5 ? ms_sqrt(tame) : ms_pow(tame, ms_number(p)));
}

/* Attributes: dims, correction, keepdim, unbiased. */
static int moments(ms_ref *c, bool root, bool mean_too) {
  ms_tensor *x = ms_wide(c->in[0]);
  const bool keep = c->attr[2].i;
  double correction = (double)c->attr[1].i;
  if (!c->attr[3].i && correction != 1)
    return ms_fail("%s: unbiased = false is correction = 0, got correction = %g, too", c->op->name, correction), -1;
  if (!c->attr[3].i) correction = 0;
  ms_tensor *v = variance(x, c->attr[0].v, correction, keep);
  v = v ? ms_cast(root ? flat_power(v, 0.5) : v, c->in[0]->dtype) : NULL;
  return mean_too ? ms_give_two(c, v, ms_mean(c->in[0], c->attr[0].v, keep)) : ms_give(c, v);
}
static int var_ref(ms_ref *c) { return moments(c, false, false); }
static int std_ref(ms_ref *c) { return moments(c, true, false); }
static int var_mean_ref(ms_ref *c) { return moments(c, false, true); }
static int std_mean_ref(ms_ref *c) { return moments(c, true, true); }
MS_RULE(var, .ref = var_ref);
MS_RULE(std, .ref = std_ref);
MS_RULE(var_mean, .ref = var_mean_ref);
MS_RULE(std_mean, .ref = std_mean_ref);

/* ---- norms, logsumexp, the two ends ------------------------------------------------------------------------------ */

static int norm_ref(ms_ref *c) {
  ms_tensor *x = ms_wide(c->in[0]), *r;
  const double p = ms_decided(c->attr[0].s);
  const ms_ints d = c->attr[1].v;
  const bool keep = c->attr[2].i;
  if (p != p) return ms_fail("norm: p is NaN"), -1;
  if (p == 2) r = flat_power(ms_sum(ms_square(x), d, keep), 0.5);
  else if (p == 1) r = ms_sum(ms_abs(x), d, keep);
  else if (p == 0) r = ms_sum(ms_cast(ms_ne(x, ms_number(0)), x->dtype), d, keep);
  else if (p == INFINITY) r = ms_amax(ms_abs(x), d, keep);
  else if (p == -INFINITY) r = ms_apply(MS_OP_amin, MS_IN(ms_abs(x)), MS_ATTR(A_INTS(d), A_INT(keep)));
  else if (p > 0) r = flat_power(ms_sum(flat_power(ms_abs(x), p), d, keep), 1 / p);
  else r = ms_pow(ms_sum(ms_pow(ms_abs(x), ms_number(p)), d, keep), ms_number(1 / p));
  return ms_give(c, r ? ms_cast(r, c->in[0]->dtype) : NULL);
}
MS_RULE(norm, .ref = norm_ref);

static int logsumexp_ref(ms_ref *c) {
  ms_tensor *x = ms_wide(c->in[0]);
  ms_ints d = c->attr[0].v;
  if (!x || ms_dims(&d, x->rank, "logsumexp") < 0) return -1;
  ms_tensor *most = ms_number(0); /* of nothing: log(0) */
  if (ms_count_of(x, d) > 0) {
    most = ms_detach(ms_amax(ms_detach(x), d, true));
    most = ms_where(ms_isfinite(most), most, ms_number(0));
  }
  ms_tensor *r = ms_add(ms_log(ms_sum(ms_exp(ms_sub(x, most)), d, true)), most);
  r = ms_cast(r, c->in[0]->dtype);
  return ms_give(c, c->attr[1].i ? r : ms_squeeze(r, d));
}
MS_RULE(logsumexp, .ref = logsumexp_ref);

static int aminmax_ref(ms_ref *c) {
  const ms_ints d = c->attr[0].i == MS_NO_DIM ? MS_ALL : MS_INTS(c->attr[0].i);
  const ms_attr attr[] = {A_INTS(d), c->attr[1]};
  if (ms_give_two(c, ms_apply(MS_OP_amin, 1, c->in, attr), ms_apply(MS_OP_amax, 1, c->in, attr)) == 0) return 0;
  return ms_error_prefix("aminmax"), -1;
}
MS_RULE(aminmax, .ref = aminmax_ref);

/* ---- as if NaN were not there ------------------------------------------------------------------------------------ */

static ms_tensor *sum_without_nan(ms_ref *c, int op) {
  ms_tensor *x = c->in[0];
  if (ms_dtype_is_float(x->dtype)) x = ms_where(ms_isnan(x), ms_number(0), x);
  return ms_apply(op, MS_IN(x), c->attr);
}
static int nansum_ref(ms_ref *c) { return ms_give(c, sum_without_nan(c, MS_OP_sum)); }
static int nanmean_ref(ms_ref *c) {
  ms_tensor *sum = sum_without_nan(c, MS_OP_sum);
  if (sum && !ms_dtype_is_float(sum->dtype))
    return ms_fail("nanmean: dtype %s, expected a floating one", ms_dtype_name(sum->dtype)), -1;
  ms_tensor *count = ms_sum(ms_logical_not(ms_isnan(c->in[0])), c->attr[0].v, c->attr[1].i);
  return ms_give(c, sum && count ? ms_div(sum, ms_cast(count, sum->dtype)) : NULL);
}
MS_RULE(nansum, .ref = nansum_ref);
MS_RULE(nanmean, .ref = nanmean_ref);

/* ---- differences and areas --------------------------------------------------------------------------------------- */

static int diff_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const int d = ms_dim(c->attr[1].i, x->rank, "diff");
  if (d < 0) return -1;
  ms_tensor *part[3];
  int n = 0;
  if (c->in[1]) part[n++] = c->in[1];
  part[n++] = x;
  if (c->in[2]) part[n++] = c->in[2];
  if (n > 1) x = ms_cat(n, part, d);
  for (int64_t k = 0; x && k < c->attr[0].i && (k == 0 || x->shape[d]); k++) {
    const int64_t size = x->shape[d] > 0 ? x->shape[d] - 1 : 0, from = x->shape[d] ? 1 : 0;
    ms_tensor *later = ms_slice(x, d, from, size, 1), *earlier = ms_slice(x, d, 0, size, 1);
    x = x->dtype == MS_BOOL ? ms_logical_xor(later, earlier) : ms_sub(later, earlier);
  }
  return ms_give(c, x);
}
MS_RULE(diff, .ref = diff_ref);

/* The areas between neighbours along d: half of (y[i] + y[i + 1]) times the distance. */
static ms_tensor *areas(ms_ref *c, int *dim) {
  ms_tensor *y = c->in[0], *x = c->in[1];
  const int d = *dim = ms_dim(c->attr[1].i, y->rank, c->op->name);
  if (d < 0) return NULL;
  const int64_t n = y->shape[d], size = n > 0 ? n - 1 : 0, from = n ? 1 : 0;
  ms_tensor *sum = ms_mul(ms_add(ms_slice(y, d, from, size, 1), ms_slice(y, d, 0, size, 1)), ms_number(0.5));
  if (!x) return ms_mul(sum, ms_number(ms_decided(c->attr[0].s)));
  if (x->rank == 1) {
    ms_ints v = {.n = y->rank - d};
    for (int i = 0; i < v.n; i++) v.at[i] = i ? 1 : x->shape[0];
    x = ms_reshape(x, v);
  }
  const int at = x ? x->rank - (y->rank - d) : -1;
  if (at < 0 || x->shape[at] != n)
    return ms_fail("%s: x is %s, y is %s: expected as many points", c->op->name, ms_shape_str(c->in[1]), ms_shape_str(y));
  return ms_mul(sum, ms_sub(ms_slice(x, at, from, size, 1), ms_slice(x, at, 0, size, 1)));
}
static int trapezoid_ref(ms_ref *c) {
  int d;
  ms_tensor *a = areas(c, &d);
  return ms_give(c, a ? ms_sum(a, MS_INTS(d), false) : NULL);
}
static int cumulative_trapezoid_ref(ms_ref *c) {
  int d;
  ms_tensor *a = areas(c, &d);
  return ms_give(c, a ? ms_apply(MS_OP_cumsum, MS_IN(a), MS_ATTR(A_INT(d))) : NULL);
}
MS_RULE(trapezoid, .ref = trapezoid_ref);
MS_RULE(cumulative_trapezoid, .ref = cumulative_trapezoid_ref);

/* ---- covariance: rows are variables, columns observations -------------------------------------------------------- */

static ms_tensor *weights_of(ms_ref *c, int k, int64_t n, int dtype) {
  ms_tensor *w = c->in[k];
  if (!w) return NULL;
  if (w->rank != 1 || w->shape[0] != n)
    return ms_fail("cov: weights are %s, expected %lld, one per observation", ms_shape_str(w), (long long)n);
  return ms_cast(w, dtype);
}

static ms_tensor *covariance(ms_ref *c, double correction, bool weighted) {
  ms_tensor *x = ms_wide(c->in[0]);
  if (!x || x->rank > 2) return ms_fail("%s: %s, expected variables x observations", c->op->name, ms_shape_str(c->in[0]));
  const bool one = x->rank < 2;
  if (one) x = ms_reshape(x, MS_INTS(1, ms_numel(x)));
  const int64_t n = x->shape[1];
  ms_tensor *f = weighted ? weights_of(c, 1, n, x->dtype) : NULL, *a = weighted ? weights_of(c, 2, n, x->dtype) : NULL;
  if (ms_error()) return NULL;
  ms_tensor *w = f && a ? ms_mul(f, a) : f ? f : a, *factor, *mean;
  if (w) {
    ms_tensor *total = ms_sum_all(w);
    mean = ms_div(ms_sum(ms_mul(x, w), MS_INTS(1), true), total);
    factor = ms_sub(total, a ? ms_div(ms_mul(ms_sum_all(ms_mul(w, a)), ms_number(correction)), total) : ms_number(correction));
    factor = ms_maximum(factor, ms_number(0));
  } else {
    mean = ms_mean(x, MS_INTS(1), true);
    factor = ms_number((double)n - correction > 0 ? (double)n - correction : 0);
  }
  ms_tensor *diff = ms_sub(x, mean), *r = ms_matmul(w ? ms_mul(diff, w) : diff, diff, false, true);
  r = ms_cast(ms_div(r, factor), c->in[0]->dtype);
  return one || x->shape[0] == 1 ? ms_reshape(r, (ms_ints){0}) : r;
}
static int cov_ref(ms_ref *c) { return ms_give(c, covariance(c, (double)c->attr[0].i, true)); }
static int corrcoef_ref(ms_ref *c) {
  ms_tensor *r = covariance(c, 1, false);
  if (!r || !r->rank) return ms_give(c, r ? ms_div(r, r) : NULL);
  ms_tensor *s = ms_sqrt(ms_apply(MS_OP_diagonal, MS_IN(r), NULL));
  r = ms_div(ms_div(r, ms_unsqueeze(s, 1)), s);
  return ms_give(c, ms_clamp(r, ms_number(-1), ms_number(1)));
}
MS_RULE(cov, .ref = cov_ref);
MS_RULE(corrcoef, .ref = corrcoef_ref);
