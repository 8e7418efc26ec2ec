/* repeat.c -- the elements of a tensor in another order, or several times: flip, roll, rot90, tile, repeat_interleave, kron. */
#include "compose.h"
#include <stdlib.h>

static int flip_shape(ms_infer *s) {
  if (ms_dims(&s->attr[0].v, s->in[0]->rank, "flip") < 0) return -1;
  return ms_out_like(s, 0, s->in[0]);
}
static int flip_vjp(ms_vjp *c) { return ms_give_dx(c, ms_flip(c->g[0], c->attr[0].v)); }
MS_RULE(flip, .shape = flip_shape, .vjp = flip_vjp);
ms_tensor *ms_flip(ms_tensor *x, ms_ints dims) { return ms_apply(MS_OP_flip, MS_IN(x), MS_ATTR(A_INTS(dims))); }

static int fliplr_ref(ms_ref *c) {
  if (c->in[0]->rank < 2) return ms_fail("fliplr: expected two dimensions or more, got %s", ms_shape_str(c->in[0])), -1;
  return ms_give(c, ms_flip(c->in[0], MS_INTS(1)));
}
MS_RULE(fliplr, .ref = fliplr_ref);
static int flipud_ref(ms_ref *c) {
  if (c->in[0]->rank < 1) return ms_fail("flipud: expected one dimension or more, got %s", ms_shape_str(c->in[0])), -1;
  return ms_give(c, ms_flip(c->in[0], MS_INTS(0)));
}
MS_RULE(flipud, .ref = flipud_ref);

/* By k quarter turns from the first of two dimensions towards the second. */
static int rot90_ref(ms_ref *c) {
  ms_tensor *x = c->in[0];
  const ms_ints d = c->attr[1].v;
  if (x->rank < 2) return ms_fail("rot90: expected two dimensions or more, got %s", ms_shape_str(x)), -1;
  if (d.n != 2 && d.n != -1) return ms_fail("rot90: %d dimensions, expected two", d.n), -1;
  const int a = ms_dim(d.n < 0 ? 0 : d.at[0], x->rank, "rot90"), b = ms_dim(d.n < 0 ? 1 : d.at[1], x->rank, "rot90");
  if (a < 0 || b < 0) return -1;
  if (a == b) return ms_fail("rot90: dimension %d is named twice", a + 1), -1;
  const int turns = (int)((c->attr[0].i % 4 + 4) % 4);
  if (turns == 0) return ms_give(c, ms_apply(MS_OP_clone, MS_IN(x), NULL));
  if (turns == 2) return ms_give(c, ms_flip(x, MS_INTS(a, b)));
  return ms_give(c, turns == 1 ? ms_transpose(ms_flip(x, MS_INTS(b)), a, b) : ms_flip(ms_transpose(x, a, b), MS_INTS(b)));
}
MS_RULE(rot90, .ref = rot90_ref);

/* Dimension d moved on by `shift` places; what falls off its end comes in at its beginning. */
static ms_tensor *roll_dim(ms_tensor *x, int64_t shift, int d) {
  const int64_t n = x->shape[d], by = n ? (shift % n + n) % n : 0;
  if (!by) return x;
  ms_tensor *part[] = {ms_slice(x, d, n - by, by, 1), ms_slice(x, d, 0, n - by, 1)};
  return ms_cat(2, part, d);
}
static int roll_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = x;
  const ms_ints shifts = c->attr[0].v, dims = c->attr[1].v;
  if (dims.n < 0) {
    if (shifts.n != 1) return ms_fail("roll: %d shifts without dims, expected one for all elements row by row", shifts.n), -1;
    r = ms_reshape(roll_dim(ms_reshape(x, MS_INTS(ms_numel(x))), shifts.at[0], 0), ms_sizes(x));
  } else if (dims.n != shifts.n) return ms_fail("roll: %d shifts for %d dimensions, expected as many", shifts.n, dims.n), -1;
  for (int i = 0; i < dims.n && r; i++) {
    const int d = ms_dim(dims.at[i], x->rank, "roll");
    if (d < 0) return -1;
    r = roll_dim(r, shifts.at[i], d);
  }
  return ms_give(c, r == x ? ms_apply(MS_OP_clone, MS_IN(x), NULL) : r);
}
MS_RULE(roll, .ref = roll_ref);

/* ---- several times ------------------------------------------------------------------------------------------------------------
 */

/* Dimension d n times: as a whole again and again, or each element n times (together). */
static ms_tensor *repeat_dim(ms_tensor *x, int d, int64_t n, bool together) {
  if (!x || n == 1) return x;
  int64_t size;
  if (__builtin_mul_overflow(x->shape[d], n, &size))
    return ms_fail("%lld times dimension %d of %s is more than can be addressed", (long long)n, d + 1, ms_shape_str(x));
  ms_ints v = ms_sizes(x), whole = v;
  whole.at[d] = size;
  if (x->rank == MS_MAX_RANK) { /* there is no room for a dimension more: the dimensions before d are one, and those behind it */
    int64_t before = 1, behind = 1;
    for (int i = 0; i < x->rank; i++) *(i < d ? &before : &behind) *= i == d ? 1 : x->shape[i];
    return ms_reshape(repeat_dim(ms_reshape(x, MS_INTS(before, x->shape[d], behind)), 1, n, together), whole);
  }
  const int at = d + together;
  for (int i = v.n++; i > at; i--) v.at[i] = v.at[i - 1];
  v.at[at] = n;
  return ms_reshape(ms_expand(ms_unsqueeze(x, at), v), whole);
}

static int tile_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *r = x;
  const ms_ints times = c->attr[0].v;
  for (int i = 0; i < times.n; i++)
    if (times.at[i] < 0) return ms_fail("tile: %lld times, expected 0 or more", (long long)times.at[i]), -1;
  while (r && r->rank < times.n) r = ms_unsqueeze(r, 0);
  for (int i = times.n - 1; i >= 0 && r; i--) r = repeat_dim(r, r->rank - times.n + i, times.at[i], false);
  return ms_give(c, r == x ? ms_apply(MS_OP_clone, MS_IN(x), NULL) : r);
}
MS_RULE(tile, .ref = tile_ref);

/* Element i as often as times[i] says: the positions 1, 1, 2, 2, 2, ... of the elements. */
static ms_tensor *positions_of(ms_tensor *times, int64_t n) {
  if (ms_dtype_is_float(times->dtype) || times->dtype == MS_BOOL || times->rank > 1)
    return ms_fail("repeat_interleave: repeats is %s, expected a number or a list of integers", ms_shape_str(times));
  if (ms_numel(times) != n && ms_numel(times) != 1)
    return ms_fail("repeat_interleave: %lld repeats for %lld elements along the dimension", (long long)ms_numel(times),
                   (long long)n);
  const int64_t given = ms_numel(times);
  int64_t *count = malloc((size_t)(given + 1) * 8), total = 0, *at = NULL;
  ms_tensor *r = NULL;
  if (!count) ms_fail("repeat_interleave: out of memory");
  else if (ms_to_host(ms_cast(ms_detach(times), MS_I64), count) == 0) {
    for (int64_t i = 0; i < n; i++) {
      const int64_t k = count[given == 1 ? 0 : i];
      if (k < 0 || __builtin_add_overflow(total, k, &total) || total > INT64_MAX / 64) {
        ms_fail("repeat_interleave: repeats[%lld] = %lld", (long long)(given == 1 ? 1 : i + 1), (long long)k);
        break;
      }
    }
    if (!ms_error() && !(at = malloc((size_t)(total + 1) * 8))) ms_fail("repeat_interleave: out of memory");
    if (at) {
      int64_t k = 0;
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < count[given == 1 ? 0 : i]; j++) at[k++] = i + MS_INDEX_BASE;
      r = ms_from_host(MS_I64, 1, &total, at, times->device);
    }
  }
  free(count), free(at);
  return r;
}

static int repeat_interleave_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *times = c->in[1];
  int d = 0;
  if (c->attr[0].i == MS_NO_DIM) x = ms_reshape(x, MS_INTS(ms_numel(x)));
  else if ((d = ms_dim(c->attr[0].i, x->rank, "repeat_interleave")) < 0) return -1;
  if (!x) return -1;
  if (!times->is_number) return ms_give(c, ms_index_select(x, d, positions_of(times, x->shape[d])));
  int64_t n;
  ms_scalar number = times->number; /* the operand's own keeps its cell, which it gives back */
  if (!ms_plain_whole(ms_decides(&number), &n) || n < 0)
    return ms_fail("repeat_interleave: %s times, expected a whole number", ms_scalar_str(times->number)), -1;
  ms_tensor *r = repeat_dim(x, d, n, true);
  return ms_give(c, r == c->in[0] ? ms_apply(MS_OP_clone, MS_IN(r), NULL) : r);
}
MS_RULE(repeat_interleave, .ref = repeat_interleave_ref);

/* ---- kron: all products of an element of x with one of y, laid out as blocks x[i] y ---------------------------------------------
 */

static int kron_ref(ms_ref *c) {
  ms_tensor *x = c->in[0], *y = c->in[1];
  const int rank = x->rank > y->rank ? x->rank : y->rank;
  ms_ints whole = {.n = rank}, pairs = {0}, xs = {0}, ys = {0};
  for (int i = 0; i < rank; i++) {
    const int ix = i - (rank - x->rank), iy = i - (rank - y->rank);
    const int64_t nx = ix < 0 ? 1 : x->shape[ix], ny = iy < 0 ? 1 : y->shape[iy];
    if (__builtin_mul_overflow(nx, ny, &whole.at[i])) return ms_fail("kron: the result is more than can be addressed"), -1;
    if (pairs.n + (nx != 1) + (ny != 1) > MS_MAX_RANK)
      return ms_fail("kron: %s and %s have more dimensions together than there can be", ms_shape_str(x), ms_shape_str(y)), -1;
    if (nx != 1) xs.at[xs.n++] = nx, ys.at[ys.n++] = 1, pairs.n++;
    if (ny != 1) xs.at[xs.n++] = 1, ys.at[ys.n++] = ny, pairs.n++;
  }
  return ms_give(c, ms_reshape(ms_mul(ms_reshape(x, xs), ms_reshape(y, ys)), whole));
}
MS_RULE(kron, .ref = kron_ref);
