/* reduce.c -- reductions that have kernels: sum, mean, prod, the largest and smallest and their positions, any, all; and what the
 * files of composed ones share (statistics.c, scan.c, sort.c). */
#include "reduce.h"
#include <math.h>

int ms_reduced_shape(ms_infer *s, int dtype) {
  const ms_tensor *x = s->in[0];
  ms_ints *d = &s->attr[0].v;
  bool keep = s->attr[1].i;
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

ms_tensor *ms_with_dims_kept(ms_tensor *r, const ms_tensor *x, ms_ints dims) {
  if (!r) return NULL;
  ms_ints v = ms_sizes(x);
  for (int k = 0; k < dims.n; k++) v.at[dims.at[k]] = 1;
  return r->rank == v.n ? r : ms_reshape(r, v);
}

double ms_count_of(const ms_tensor *x, ms_ints dims) {
  double n = 1;
  for (int k = 0; k < dims.n; k++) n *= (double)x->shape[dims.at[k]];
  return n;
}

ms_tensor *ms_along(ms_tensor *x, int64_t dim, int *d, const char *op) {
  if (!x) return NULL;
  if (dim == MS_NO_DIM) x = ms_reshape(x, MS_INTS(ms_numel(x))), dim = 0;
  if (!x || (*d = ms_dim(dim, x->rank, op)) < 0) return NULL;
  if (!x->shape[*d]) return ms_fail("%s: %s has nothing to choose from along dimension %d", op, ms_shape_str(x), *d + 1);
  return x;
}

/* ---- sum, mean: the kernels know f32, f64 and whole numbers, and give f32, f64, i64 -------------------------------- */

static int sum_shape(ms_infer *s) { return ms_reduced_shape(s, ms_sum_dtype(s->in[0], s->attr[2].i)); }
static int mean_shape(ms_infer *s) {
  const int to = ms_sum_dtype(s->in[0], s->attr[2].i);
  if (!ms_dtype_is_float(to)) return ms_fail("mean: dtype %s, expected a floating one", ms_dtype_name(to)), -1;
  return ms_reduced_shape(s, to);
}
/* For the kernel: terms of a dtype that it adds up. */
static int sum_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *terms = ms_as_terms(x, ms_sum_dtype(x, c->attr[2].i));
  if (!terms || (terms == x && !c->attr[2].i)) return ms_fail("%s: no kernel for %s", c->op->name, ms_shape_str(x)), -1;
  ms_tensor *r = ms_apply(c->op->id, MS_IN(terms), MS_ATTR(c->attr[0], c->attr[1]));
  return ms_copy_(c->out[0], r) ? 0 : -1;
}
static int sum_vjp(ms_vjp *c) {
  ms_tensor *g = ms_cast(ms_with_dims_kept(c->g[0], c->x[0], c->attr[0].v), c->x[0]->dtype);
  return ms_give_dx(c, ms_expand(g, ms_sizes(c->x[0])));
}
static int mean_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v;
  ms_tensor *g = ms_mul(ms_with_dims_kept(c->g[0], c->x[0], d), ms_number(1 / ms_count_of(c->x[0], d)));
  return ms_give_dx(c, ms_expand(ms_cast(g, c->x[0]->dtype), ms_sizes(c->x[0])));
}
MS_RULE(sum, .shape = sum_shape, .ref = sum_ref, .vjp = sum_vjp);
MS_RULE(mean, .shape = mean_shape, .ref = sum_ref, .vjp = mean_vjp);

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

/* ---- prod: where a derivative is wanted, a tree of products of halves. Zeros do not harm those, and all levels together cost what
 * two products over everything cost ---------------------------------------------------------------------------------- */

static int prod_shape(ms_infer *s) { return ms_reduced_shape(s, ms_sum_dtype(s->in[0], s->attr[2].i)); }

/* Along one dimension, which is kept. */
static ms_tensor *product_along(ms_tensor *x, int64_t d) {
  ms_tensor *left = NULL; /* slices that had no partner */
  if (!x) return NULL;
  if (!x->shape[d]) return ms_add(ms_sum(x, MS_INTS(d), true), ms_whole_number(1));
  for (int64_t n; x && (n = x->shape[d]) > 1;) {
    ms_tensor *last = n % 2 ? ms_slice(x, d, n - 1, 1, 1) : NULL;
    if (last) left = left ? ms_mul(left, last) : last;
    x = ms_mul(ms_slice(x, d, 0, n / 2, 1), ms_slice(x, d, n / 2, n / 2, 1));
  }
  return left ? ms_mul(x, left) : x;
}
static int prod_ref(ms_ref *c) {
  ms_ints d = c->attr[0].v;
  const int to = ms_sum_dtype(c->in[0], c->attr[2].i);
  ms_tensor *p = ms_as_terms(c->in[0], to);
  if (!p || ms_dims(&d, p->rank, "prod") < 0) return -1;
  if (!ms_dtype_is_float(p->dtype)) p = ms_cast(p, MS_I64);
  for (int k = 0; k < d.n; k++) p = product_along(p, d.at[k]);
  if (!c->attr[1].i) p = ms_squeeze(p, d);
  p = ms_cast(p, to);
  return ms_give(c, p && (p->is_view || p == c->in[0]) ? ms_apply(MS_OP_clone, MS_IN(p), NULL) : p);
}
MS_RULE(prod, .shape = prod_shape, .ref = prod_ref);

/* ---- largest and smallest ---------------------------------------------------------------------------------------- */

static int same_dtype_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (ms_reduced_shape(s, -1) < 0) return -1;
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
  ms_tensor *hit = ms_cast(ms_eq(c->x[0], ms_with_dims_kept(c->r[0], c->x[0], d)), c->g[0]->dtype);
  hit = ms_div(hit, ms_sum(hit, d, true));
  return ms_give_dx(c, ms_mul(hit, ms_with_dims_kept(c->g[0], c->x[0], d)));
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
  return ms_give_two(c, ms_unless_kept(v, d, c->attr[1].i), ms_unless_kept(at, d, c->attr[1].i));
}
static int max_ref(ms_ref *c) { return with_position(c, MS_OP_argmax, MS_OP_amax); }
static int min_ref(ms_ref *c) { return with_position(c, MS_OP_argmin, MS_OP_amin); }
MS_RULE(max, .ref = max_ref);
MS_RULE(min, .ref = min_ref);

static int bool_shape(ms_infer *s) { return ms_reduced_shape(s, MS_BOOL); }
MS_RULE(any, .shape = bool_shape);
MS_RULE(all, .shape = bool_shape);
