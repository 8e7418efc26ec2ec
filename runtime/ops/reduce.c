/* reduce.c -- reductions: operations whose results have fewer elements (sum, mean, amax, var, norm, ...), and cumsum. */
#include "core/core.h"
#include <math.h>

/* Attributes: dims, ..., keepdim last. dtype < 0: that of x. */
static int reduced(ms_infer *s, int dtype) {
  const ms_tensor *x = s->in[0];
  ms_ints *d = &s->attr[0].v;
  bool keep = s->attr[s->op->n_attr - 1].i;
  if (ms_dims(d, x->rank, s->op->name) < 0) return -1;
  int64_t size[MS_MAX_RANK];
  int r = 0;
  for (int i = 0, k = 0; i < x->rank; i++) {
    bool gone = k < d->n && d->at[k] == i;
    k += gone;
    if (!gone) size[r++] = x->shape[i];
    else if (keep) size[r++] = 1;
  }
  return ms_out(s, 0, dtype < 0 ? x->dtype : dtype, r, size);
}

/* A result of a reduction over dims, as it would be had the dimensions been kept: ready to broadcast against x. */
static ms_tensor *with_dims_kept(ms_tensor *r, const ms_tensor *x, ms_ints dims) {
  if (!r) return NULL;
  ms_ints v = ms_sizes(x);
  for (int k = 0; k < dims.n; k++) v.at[dims.at[k]] = 1;
  return r->rank == v.n ? r : ms_reshape(r, v);
}

static double count_of(const ms_tensor *x, ms_ints dims) {
  double n = 1;
  for (int k = 0; k < dims.n; k++) n *= (double)x->shape[dims.at[k]];
  return n;
}

/* ---- sum, mean --------------------------------------------------------------------------------------------------- */

static int sum_shape(ms_infer *s) { return reduced(s, ms_dtype_is_float(s->in[0]->dtype) ? -1 : MS_I64); }
static int sum_vjp(ms_vjp *c) {
  return ms_give_dx(c, ms_expand(with_dims_kept(c->g[0], c->x[0], c->attr[0].v), ms_sizes(c->x[0])));
}
MS_RULE(sum, .shape = sum_shape, .vjp = sum_vjp);

static int mean_shape(ms_infer *s) { return reduced(s, -1); }
static int mean_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *g = ms_mul(with_dims_kept(c->g[0], c->x[0], d), ms_number(1 / count_of(c->x[0], d)));
  return ms_give_dx(c, ms_expand(g, ms_sizes(c->x[0])));
}
MS_RULE(mean, .shape = mean_shape, .vjp = mean_vjp);

ms_tensor *ms_sum(ms_tensor *x, ms_ints dims, bool keepdim) {
  return ms_apply(MS_OP_sum, MS_IN(x), MS_ATTR(A_INTS(dims), A_INT(keepdim)));
}
ms_tensor *ms_mean(ms_tensor *x, ms_ints dims, bool keepdim) {
  return ms_apply(MS_OP_mean, MS_IN(x), MS_ATTR(A_INTS(dims), A_INT(keepdim)));
}
ms_tensor *ms_amax(ms_tensor *x, ms_ints dims, bool keepdim) {
  return ms_apply(MS_OP_amax, MS_IN(x), MS_ATTR(A_INTS(dims), A_INT(keepdim)));
}
ms_tensor *ms_sum_all(ms_tensor *x) { return ms_sum(x, MS_ALL, false); }
ms_tensor *ms_mean_all(ms_tensor *x) { return ms_mean(x, MS_ALL, false); }

ms_tensor *ms_sum_to(ms_tensor *x, const ms_tensor *like) {
  if (!x || !like) return NULL;
  if (x->is_number) return ms_mul(ms_ones_like((ms_tensor *)like), x); /* a constant share, of like's shape */
  ms_ints d = {0};
  int lead = x->rank - like->rank;
  for (int i = 0; i < x->rank; i++)
    if (i < lead || (like->shape[i - lead] == 1 && x->shape[i] != 1)) d.at[d.n++] = i;
  if (!d.n) return x;
  return ms_reshape(ms_sum(x, d, true), ms_sizes(like));
}

/* ---- prod: the product of all others is a product of running products from both sides, which zeros do not harm ---- */

static int prod_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "prod");
  if (d < 0) return -1;
  s->attr[0].i = d;
  ms_ints v = ms_sizes(x);
  for (int i = d; i + 1 < v.n; i++) v.at[i] = v.at[i + 1];
  return ms_out(s, 0, ms_dtype_is_float(x->dtype) ? x->dtype : MS_I64, v.n - 1, v.at);
}
static int prod_ref(ms_ref *c) {
  ms_tensor *x = ms_dtype_is_float(c->in[0]->dtype) ? c->in[0] : ms_cast(c->in[0], MS_I64), *p = NULL;
  if (!x) return -1;
  int64_t d = c->attr[0].i;
  for (int64_t i = 0; i < x->shape[d]; i++) {
    ms_tensor *s = ms_select(x, d, i);
    p = p ? ms_mul(p, s) : s;
  }
  if (!p) { /* the empty product */
    ms_ints none = MS_INTS(d);
    p = ms_add(ms_sum(x, none, false), ms_number(1));
  }
  c->n_out = 1;
  return (c->out[0] = p && p->is_view ? ms_apply(MS_OP_clone, MS_IN(p), NULL) : p) ? 0 : -1;
}
MS_RULE(prod, .shape = prod_shape, .ref = prod_ref);

/* ---- largest and smallest ---------------------------------------------------------------------------------------- */

static int same_dtype_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (reduced(s, -1) < 0) return -1;
  if (!ms_numel(x) && s->n_out)
    for (int k = 0; k < s->attr[0].v.n; k++)
      if (x->shape[s->attr[0].v.at[k]] == 0)
        return ms_fail("%s: %s has nothing to choose from along dimension %lld", s->op->name, ms_shape_str(x),
                       (long long)s->attr[0].v.at[k] + 1),
               -1;
  return 0;
}
static int extreme_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *hit = ms_cast(ms_eq(c->x[0], with_dims_kept(c->r[0], c->x[0], d)), c->g[0]->dtype);
  hit = ms_div(hit, ms_sum(hit, d, true));
  return ms_give_dx(c, ms_mul(hit, with_dims_kept(c->g[0], c->x[0], d)));
}
MS_RULE(amax, .shape = same_dtype_shape, .vjp = extreme_vjp, .keep_in = 1, .keep_out = 1);
MS_RULE(amin, .shape = same_dtype_shape, .vjp = extreme_vjp, .keep_in = 1, .keep_out = 1);

/* Without a dimension: of all elements, counted row by row. */
static int arg_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (s->attr[0].i == MS_NO_DIM) {
    if (!ms_numel(x)) return ms_fail("%s: %s has nothing to choose from", s->op->name, ms_shape_str(x)), -1;
    static const int64_t ones[MS_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    return ms_out(s, 0, MS_I64, s->attr[1].i ? x->rank : 0, ones);
  }
  int d = ms_dim(s->attr[0].i, x->rank, s->op->name);
  if (d < 0) return -1;
  s->attr[0].i = d;
  if (x->shape[d] == 0)
    return ms_fail("%s: %s has nothing to choose from along dimension %d", s->op->name, ms_shape_str(x), d + 1), -1;
  ms_ints v = ms_sizes(x);
  v.at[d] = 1;
  if (!s->attr[1].i) {
    for (int i = d; i + 1 < v.n; i++) v.at[i] = v.at[i + 1];
    v.n--;
  }
  return ms_out(s, 0, MS_I64, v.n, v.at);
}
/* For the kernel: one dimension, and no half precision. */
static int arg_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const bool half = x->dtype == MS_F16 || x->dtype == MS_BF16, whole = c->attr[0].i == MS_NO_DIM;
  if (!half && !whole) return ms_fail("%s: no kernel for %s", c->op->name, ms_shape_str(x)), -1;
  if (half) x = ms_cast(x, MS_F32);
  if (whole) x = ms_reshape(x, MS_INTS(ms_numel(c->in[0])));
  ms_tensor *at = ms_apply(c->op->id, MS_IN(x), MS_ATTR(A_INT(whole ? 0 : c->attr[0].i), A_INT(!whole && c->attr[1].i)));
  return ms_copy_(c->out[0], at) ? 0 : -1;
}
MS_RULE(argmax, .shape = arg_shape, .ref = arg_ref);
MS_RULE(argmin, .shape = arg_shape, .ref = arg_ref);

/* Value and position along a dimension; without one, the value only, of all elements (as in PyTorch). */
static int with_position(ms_ref *c, int arg_op, int value_op) {
  ms_tensor *x = c->in[0];
  if (c->attr[0].i == MS_NO_DIM) {
    c->n_out = 1;
    return (c->out[0] = ms_apply(value_op, MS_IN(x), MS_ATTR(A_INTS(MS_ALL), c->attr[1]))) ? 0 : -1;
  }
  int d = ms_dim(c->attr[0].i, x->rank, c->op->name);
  if (d < 0) return -1;
  ms_tensor *at = ms_apply(arg_op, MS_IN(x), MS_ATTR(A_INT(d), A_INT(true)));
  ms_tensor *v = ms_gather(x, d, at);
  c->n_out = 2;
  c->out[0] = c->attr[1].i ? v : ms_squeeze(v, MS_INTS(d));
  c->out[1] = c->attr[1].i ? at : ms_squeeze(at, MS_INTS(d));
  return c->out[0] && c->out[1] ? 0 : -1;
}
static int max_ref(ms_ref *c) { return with_position(c, MS_OP_argmax, MS_OP_amax); }
static int min_ref(ms_ref *c) { return with_position(c, MS_OP_argmin, MS_OP_amin); }
MS_RULE(max, .ref = max_ref);
MS_RULE(min, .ref = min_ref);

static int bool_shape(ms_infer *s) { return reduced(s, MS_BOOL); }
MS_RULE(any, .shape = bool_shape);
MS_RULE(all, .shape = bool_shape);

/* ---- composites -------------------------------------------------------------------------------------------------- */

static ms_tensor *variance(ms_tensor *x, ms_ints d, int64_t correction, bool keep) {
  if (!x || ms_dims(&d, x->rank, "var") < 0) return NULL;
  double n = count_of(x, d) - (double)correction;
  ms_tensor *diff = ms_sub(x, ms_mean(x, d, true));
  return ms_div(ms_sum(ms_square(diff), d, keep), ms_number(n > 0 ? n : 0));
}
static int var_ref(ms_ref *c) {
  return c->n_out = 1, (c->out[0] = variance(c->in[0], c->attr[0].v, c->attr[1].i, c->attr[2].i)) ? 0 : -1;
}

/* Roots have no slope at 0; where 0 is the least there can be, PyTorch's choice is 0. x^p = 0 at x = 0, with slope 0. */
static ms_tensor *flat_power(ms_tensor *x, double p) {
  ms_tensor *zero = ms_eq(x, ms_number(0)), *tame = ms_where(zero, ms_number(1), x);
  return ms_where(zero, ms_number(0), p == 0.5 ? ms_sqrt(tame) : ms_pow(tame, ms_number(p)));
}

static int std_ref(ms_ref *c) {
  return c->n_out = 1, (c->out[0] = flat_power(variance(c->in[0], c->attr[0].v, c->attr[1].i, c->attr[2].i), 0.5)) ? 0 : -1;
}
MS_RULE(var, .ref = var_ref);
MS_RULE(std, .ref = std_ref);

static int norm_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r;
  double p = ms_decided(c->attr[0].s);
  ms_ints d = c->attr[1].v;
  bool keep = c->attr[2].i;
  if (p == 2) r = flat_power(ms_sum(ms_square(x), d, keep), 0.5);
  else if (p == 1) r = ms_sum(ms_abs(x), d, keep);
  else if (p == INFINITY) r = ms_amax(ms_abs(x), d, keep);
  else if (p > 0) r = flat_power(ms_sum(flat_power(ms_abs(x), p), d, keep), 1 / p);
  else return ms_fail("norm: p = %g, expected more than 0", p), -1;
  c->n_out = 1;
  return (c->out[0] = r) ? 0 : -1;
}
MS_RULE(norm, .ref = norm_ref);

static int logsumexp_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  ms_ints d = c->attr[0].v;
  if (ms_dims(&d, x->rank, "logsumexp") < 0) return -1;
  ms_tensor *most = ms_number(0); /* of nothing: log(0) */
  if (count_of(x, d) > 0) {
    most = ms_detach(ms_amax(ms_detach(x), d, true));
    most = ms_where(ms_isfinite(most), most, ms_number(0));
  }
  ms_tensor *r = ms_add(ms_log(ms_sum(ms_exp(ms_sub(x, most)), d, true)), most);
  c->n_out = 1;
  return (c->out[0] = c->attr[1].i ? r : ms_squeeze(r, d)) ? 0 : -1;
}
MS_RULE(logsumexp, .ref = logsumexp_ref);

/* ---- cumsum: its adjoint is the running sum from the other end --------------------------------------------------- */

static int cumsum_shape(ms_infer *s) {
  int d = ms_dim(s->attr[0].i, s->in[0]->rank, "cumsum");
  if (d < 0) return -1;
  s->attr[0].i = d;
  return ms_out(s, 0, ms_dtype_is_float(s->in[0]->dtype) ? s->in[0]->dtype : MS_I64, s->in[0]->rank, s->in[0]->shape);
}
static int cumsum_vjp(ms_vjp *c) {
  ms_ints d = MS_INTS(c->attr[0].i);
  return ms_give_dx(c, ms_flip(ms_apply(MS_OP_cumsum, MS_IN(ms_flip(c->g[0], d)), MS_ATTR(A_INT(d.at[0]))), d));
}
MS_RULE(cumsum, .shape = cumsum_shape, .vjp = cumsum_vjp);
