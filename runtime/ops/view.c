/* view.c -- results that share memory with x: only shape, stride and offset change. The derivative is a view that leads back
 * (permute, reshape); or the gradient of the part that the view took, which the pass puts into zeros together with what it has of
 * other parts (slice, select; core/parts.c), or the rule does (diagonal; scatter_view.c). */
#include "compose.h"

/* Start result 0 as x itself; the rule then edits it. */
static ms_spec *from(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_spec *o = &s->out[0];
  o->dtype = x->dtype, o->rank = x->rank, o->offset = x->offset;
  memcpy(o->shape, x->shape, sizeof o->shape);
  memcpy(o->stride, x->stride, sizeof o->stride);
  s->n_out = 1;
  return o;
}

/* ---- view, reshape, flatten -------------------------------------------------------------------------------------- */

/* The strides by which x, without a copy, has another shape v of as many elements: each stretch of dimensions that lie together in
 * memory is divided into sizes of v. false: that needs a copy. */
static bool view_strides(const ms_tensor *x, const ms_ints *v, int64_t *stride) {
  int64_t size[MS_MAX_RANK], step[MS_MAX_RANK],
      placed = 1; /* the stretches, from the last one on, and how far apart their elements are */
  int n = 0, k = v->n - 1;
  for (int i = x->rank - 1; i >= 0; i--)
    if (x->shape[i] == 1) continue;
    else if (n && x->stride[i] == size[n - 1] * step[n - 1]) size[n - 1] *= x->shape[i];
    else size[n] = x->shape[i], step[n++] = x->stride[i];
  for (int j = 0; j < n && ms_numel(x); j++) {
    for (placed = 1; k >= 0 && placed < size[j]; k--) stride[k] = placed * step[j], placed *= v->at[k];
    if (placed != size[j]) return false;
  }
  for (placed = 1; k >= 0; k--) stride[k] = placed, placed *= v->at[k] ? v->at[k] : 1; /* sizes of 1; all, where one is 0 */
  return true;
}

/* The sizes of x in another shape, of which one may be -1: what is left. -1 after ms_fail: they do not have the elements of x. */
static int complete(const char *op, const ms_tensor *x, ms_ints *v) {
  int64_t n = ms_numel(x), known = 1;
  int free_at = -1;
  for (int i = 0; i < v->n; i++) {
    if (v->at[i] == -1 && free_at < 0) free_at = i;
    else if (v->at[i] < 0)
      return ms_fail("%s: size %lld of dimension %d: expected 0 or more, or one -1", op, (long long)v->at[i], i + 1), -1;
    else if (__builtin_mul_overflow(known, v->at[i], &known))
      return ms_fail("%s: %s is more than can be addressed", op, ms_sizes_str(v->n, v->at)), -1;
  }
  if (free_at >= 0) {
    if (!known || n % known) return ms_fail("%s: %s cannot be divided into %s", op, ms_shape_str(x), ms_sizes_str(v->n, v->at)), -1;
    v->at[free_at] = n / known;
    known = n;
  }
  if (known != n) return ms_fail("%s: %s does not have the elements of %s", op, ms_shape_str(x), ms_sizes_str(v->n, v->at)), -1;
  return 0;
}

static int view_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_ints *v = &s->attr[0].v;
  if (complete("view", x, v) < 0 || ms_out(s, 0, x->dtype, v->n, v->at) < 0) return -1;
  if (!view_strides(x, v, s->out[0].stride))
    return ms_fail("view: the elements of %s do not lie so that it could be seen as %s; use reshape, which may copy",
                   ms_shape_str(x), ms_sizes_str(v->n, v->at)),
           -1;
  s->out[0].offset = x->offset;
  return 0;
}
static int view_vjp(ms_vjp *c) { return ms_give_dx(c, ms_reshape(c->g[0], ms_sizes(c->x[0]))); }
MS_RULE(view, .shape = view_shape, .vjp = view_vjp);

ms_tensor *ms_view_as(ms_tensor *x, ms_ints shape) { return ms_apply(MS_OP_view, MS_IN(x), MS_ATTR(A_INTS(shape))); }

ms_tensor *ms_reshape(ms_tensor *x, ms_ints shape) {
  int64_t stride[MS_MAX_RANK];
  if (!x || complete("reshape", x, &shape) < 0) return NULL;
  return ms_view_as(view_strides(x, &shape, stride) ? x : ms_contiguous(x), shape);
}
static int reshape_ref(ms_ref *c) { return c->n_out = 1, (c->out[0] = ms_reshape(c->in[0], c->attr[0].v)) ? 0 : -1; }
MS_RULE(reshape, .ref = reshape_ref);

static int flatten_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  ms_ints v = {0};
  c->n_out = 1;
  if (!x->rank) return (c->out[0] = ms_reshape(x, MS_INTS(1))) ? 0 : -1;
  int a = ms_dim(c->attr[0].i, x->rank, "flatten"), b = ms_dim(c->attr[1].i, x->rank, "flatten");
  if (a < 0 || b < 0) return -1;
  if (a > b) return ms_fail("flatten: start %d comes after stop %d", a + 1, b + 1), -1;
  for (int i = 0; i < x->rank; i++)
    if (i > a && i <= b) v.at[v.n - 1] *= x->shape[i];
    else v.at[v.n++] = x->shape[i];
  return (c->out[0] = ms_reshape(x, v)) ? 0 : -1;
}
MS_RULE(flatten, .ref = flatten_ref);

/* ---- permute, transpose ------------------------------------------------------------------------------------------ */

static int permute_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_ints *d = &s->attr[0].v, check = *d;
  if (d->n != x->rank) return ms_fail("permute: %d dimensions were named, %s has %d", d->n, ms_shape_str(x), x->rank), -1;
  if (ms_dims(&check, x->rank, "permute") < 0) return -1;
  ms_spec *o = from(s);
  for (int i = 0; i < d->n; i++) {
    int k = ms_dim(d->at[i], x->rank, "permute");
    d->at[i] = k, o->shape[i] = x->shape[k], o->stride[i] = x->stride[k];
  }
  return 0;
}
static int permute_vjp(ms_vjp *c) {
  ms_ints d = c->attr[0].v, back = {.n = d.n};
  for (int i = 0; i < d.n; i++) back.at[d.at[i]] = i;
  return ms_give_dx(c, ms_permute(c->g[0], back));
}
MS_RULE(permute, .shape = permute_shape, .vjp = permute_vjp);
ms_tensor *ms_permute(ms_tensor *x, ms_ints dims) { return ms_apply(MS_OP_permute, MS_IN(x), MS_ATTR(A_INTS(dims))); }

static int transpose_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int a = ms_dim(s->attr[0].i, x->rank, "transpose"), b = ms_dim(s->attr[1].i, x->rank, "transpose");
  if (a < 0 || b < 0) return -1;
  ms_spec *o = from(s);
  o->shape[a] = x->shape[b], o->stride[a] = x->stride[b];
  o->shape[b] = x->shape[a], o->stride[b] = x->stride[a];
  return 0;
}
static int transpose_vjp(ms_vjp *c) { return ms_give_dx(c, ms_transpose(c->g[0], c->attr[0].i, c->attr[1].i)); }
MS_RULE(transpose, .shape = transpose_shape, .vjp = transpose_vjp);
ms_tensor *ms_transpose(ms_tensor *x, int64_t a, int64_t b) {
  return ms_apply(MS_OP_transpose, MS_IN(x), MS_ATTR(A_INT(a), A_INT(b)));
}

/* ---- expand ------------------------------------------------------------------------------------------------------ */

static int expand_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_ints *v = &s->attr[0].v;
  ms_spec *o = from(s);
  int lead = v->n - x->rank;
  if (lead < 0) return ms_fail("expand: %s has more dimensions than %s", ms_shape_str(x), ms_sizes_str(v->n, v->at)), -1;
  o->rank = (uint8_t)v->n;
  for (int i = 0; i < v->n; i++) {
    int64_t from_size = i < lead ? 1 : x->shape[i - lead], to = v->at[i] == -1 ? from_size : v->at[i];
    if (to < 0 || (from_size != to && from_size != 1))
      return ms_fail("expand: %s does not expand to %s", ms_shape_str(x), ms_sizes_str(v->n, v->at)), -1;
    v->at[i] = o->shape[i] = to;
    o->stride[i] = i < lead || (from_size == 1 && to != 1) ? 0 : x->stride[i - lead];
  }
  return 0;
}
static int expand_vjp(ms_vjp *c) { return ms_give_dx(c, ms_sum_to(c->g[0], c->x[0])); }
MS_RULE(expand, .shape = expand_shape, .vjp = expand_vjp);

ms_tensor *ms_expand(ms_tensor *x, ms_ints shape) {
  if (!x) return NULL;
  bool same = x->rank == shape.n;
  for (int i = 0; same && i < shape.n; i++) same = x->shape[i] == shape.at[i];
  return same ? x : ms_apply(MS_OP_expand, MS_IN(x), MS_ATTR(A_INTS(shape)));
}

/* ---- slice, select ----------------------------------------------------------------------------------------------- */

static int position(int64_t *p, int64_t size, const char *op) {
  int64_t at = *p < 0 ? *p + size : *p;
  if (at < 0 || at >= size)
    return ms_fail("%s: position %lld is out of range 1..%lld", op, (long long)(*p < 0 ? *p : *p + 1), (long long)size), -1;
  *p = at;
  return 0;
}

static int slice_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "slice");
  int64_t *start = &s->attr[1].i, count = s->attr[2].i, step = s->attr[3].i;
  if (d < 0) return -1;
  if (step < 1) return ms_fail("slice: step %lld, expected 1 or more", (long long)step), -1;
  if (count < 0) return ms_fail("slice: count %lld, expected 0 or more", (long long)count), -1;
  if (count == 0) *start = 0;
  else if (position(start, x->shape[d], "slice") < 0) return -1;
  if (count && (count - 1) > (x->shape[d] - 1 - *start) / step)
    return ms_fail("slice: %lld elements from %lld on by %lld reach past the end of dimension %d (size %lld)", (long long)count,
                   (long long)*start + 1, (long long)step, d + 1, (long long)x->shape[d]),
           -1;
  s->attr[0].i = d;
  ms_spec *o = from(s);
  o->offset += *start * x->stride[d];
  o->shape[d] = count, o->stride[d] = x->stride[d] * step;
  return 0;
}
static int slice_vjp(ms_vjp *c) {
  c->place = (ms_place){.is = true, .dim = (int)c->attr[0].i, .start = c->attr[1].i, .step = c->attr[3].i};
  return ms_give_dx(c, c->g[0]);
}
MS_RULE(slice, .shape = slice_shape, .vjp = slice_vjp);
ms_tensor *ms_slice(ms_tensor *x, int64_t dim, int64_t start, int64_t count, int64_t step) {
  return ms_apply(MS_OP_slice, MS_IN(x), MS_ATTR(A_INT(dim), A_INT(start), A_INT(count), A_INT(step)));
}

static int select_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  int d = ms_dim(s->attr[0].i, x->rank, "select");
  if (d < 0 || position(&s->attr[1].i, x->shape[d], "select") < 0) return -1;
  s->attr[0].i = d;
  ms_spec *o = from(s);
  o->offset += s->attr[1].i * x->stride[d];
  o->rank--;
  for (int i = d; i < o->rank; i++) o->shape[i] = x->shape[i + 1], o->stride[i] = x->stride[i + 1];
  return 0;
}
static int select_vjp(ms_vjp *c) {
  c->place = (ms_place){.is = true, .dim = (int)c->attr[0].i, .start = c->attr[1].i, .step = 1};
  return ms_give_dx(c, ms_unsqueeze(c->g[0], c->attr[0].i));
}
MS_RULE(select, .shape = select_shape, .vjp = select_vjp);
ms_tensor *ms_select(ms_tensor *x, int64_t dim, int64_t index) {
  return ms_apply(MS_OP_select, MS_IN(x), MS_ATTR(A_INT(dim), A_INT(index)));
}

/* ---- squeeze, unsqueeze ------------------------------------------------------------------------------------------ */

static int unsqueeze_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  if (x->rank == MS_MAX_RANK) return ms_fail("unsqueeze: %s has the most dimensions there can be", ms_shape_str(x)), -1;
  int d = ms_dim(s->attr[0].i, x->rank + 1, "unsqueeze");
  if (d < 0) return -1;
  s->attr[0].i = d;
  ms_spec *o = from(s);
  for (int i = o->rank++; i > d; i--) o->shape[i] = o->shape[i - 1], o->stride[i] = o->stride[i - 1];
  o->stride[d] = d + 1 < o->rank ? o->shape[d + 1] * o->stride[d + 1] : 1;
  o->shape[d] = 1;
  return 0;
}
static int same_elements_vjp(ms_vjp *c) { return ms_give_dx(c, ms_reshape(c->g[0], ms_sizes(c->x[0]))); }
MS_RULE(unsqueeze, .shape = unsqueeze_shape, .vjp = same_elements_vjp);
ms_tensor *ms_unsqueeze(ms_tensor *x, int64_t dim) { return ms_apply(MS_OP_unsqueeze, MS_IN(x), MS_ATTR(A_INT(dim))); }

static int squeeze_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  ms_ints d = s->attr[0].v;
  if (ms_dims(&d, x->rank, "squeeze") < 0) return -1;
  ms_spec *o = from(s);
  o->rank = 0;
  for (int i = 0, k = 0; i < x->rank; i++) {
    bool named = k < d.n && d.at[k] == i;
    k += named;
    if (named && x->shape[i] == 1) continue;
    o->shape[o->rank] = x->shape[i], o->stride[o->rank++] = x->stride[i];
  }
  return 0;
}
MS_RULE(squeeze, .shape = squeeze_shape, .vjp = same_elements_vjp);
ms_tensor *ms_squeeze(ms_tensor *x, ms_ints dims) { return ms_apply(MS_OP_squeeze, MS_IN(x), MS_ATTR(A_INTS(dims))); }

/* ---- unfold: windows of `size` elements along a dimension, `step` apart, which a last dimension holds ---------------------------
 */

static int unfold_shape(ms_infer *s) {
  const ms_tensor *x = s->in[0];
  const int64_t size = s->attr[1].i, step = s->attr[2].i;
  if (x->rank == MS_MAX_RANK) return ms_fail("unfold: %s has the most dimensions there can be", ms_shape_str(x)), -1;
  const int d = ms_dim(s->attr[0].i, x->rank, "unfold");
  if (d < 0) return -1;
  if (step < 1) return ms_fail("unfold: step %lld, expected 1 or more", (long long)step), -1;
  if (size > x->shape[d])
    return ms_fail("unfold: windows of %lld elements in dimension %d of %s", (long long)size, d + 1, ms_shape_str(x)), -1;
  s->attr[0].i = d;
  ms_spec *o = from(s);
  o->shape[d] = (x->shape[d] - size) / step + 1, o->stride[d] = x->stride[d] * step;
  o->shape[o->rank] = size, o->stride[o->rank++] = x->stride[d];
  return 0;
}

/* Each element is added where it came from. g is turned so that windows and their elements lie behind each other, as one dimension.
 */
static int unfold_vjp(ms_vjp *c) {
  ms_tensor *x = c->x[0], *g = c->g[0];
  const int d = (int)c->attr[0].i;
  const int64_t size = c->attr[1].i, n = g->shape[d];
  ms_tensor *at =
      ms_add(ms_unsqueeze(ms_counting(MS_INDEX_BASE, n, c->attr[2].i, x->device), 1), ms_counting(0, size, 1, x->device));
  ms_ints order = {.n = g->rank}, flat = ms_sizes(x), like = flat;
  for (int i = 0; i < g->rank; i++) order.at[i] = i <= d ? i : i == d + 1 ? g->rank - 1 : i - 1;
  flat.at[d] = n * size;
  return ms_give_dx(
      c, ms_index_add(ms_zeros_of(g, like), d, ms_reshape(at, MS_INTS(n * size)), ms_reshape(ms_permute(g, order), flat)));
}
MS_RULE(unfold, .shape = unfold_shape, .vjp = unfold_vjp);
