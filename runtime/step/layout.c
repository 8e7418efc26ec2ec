/* layout.c -- a pass over a recording: images that convolutions read and write lie channels last where that suits them.
 *
 * A slot can lie channels last when it is internal and every view of it is the whole of it as one contiguous N x C x H x W tensor.
 * Most calls want their images alike: elementwise calls, sums and copies run over elements one after another, batch norm, pooling
 * and resampling have a form for either layout: the traits in an operation's row say it. So slots that meet in such a call are tied
 * together, and an image that has to stay as it is (an argument, a result, something also seen as rows) keeps those it is tied to.
 * Convolutions tie nothing: each of their images may be either way. A group of tied slots turns when the convolutions that touch it
 * gain by that, which the backend knows.
 *
 * How a call learns of it: calls that run over elements get views with the dimensions in the order N, H, W, C, contiguous again,
 * and know nothing; the others get views N x C x H x W with the strides of channels last. */
#include "pass.h"
#include <stdlib.h>
#include <string.h>

typedef struct image { /* what is known of a slot */
  bool may_turn;       /* every view of it is the whole of it, as one contiguous image */
  bool seen;           /* some call touches it */
  int64_t shape[4];
  int parent;  /* another slot of its group; the one that is its own parent stands for the group */
  bool stays;  /* of a group: it has to lie as it does */
  double gain; /* of a group: what the convolutions gain, in elements that need not be moved */
  bool turns;  /* in the end */
} image;

typedef enum role { ORDINARY, ELEMENTS, IMAGES, FREE_IMAGES } role;

static role role_of(const ms_rcall *c) {
  const ms_op *op = c->call.op;
  if (ms_op_images_in(op) | ms_op_images_out(op)) return op->flags & MS_FREE_LAYOUT ? FREE_IMAGES : IMAGES;
  return op->flags & (MS_ELEMENTWISE | MS_COPIES | MS_SUMS) ? ELEMENTS : ORDINARY;
}

static bool is_sum(const ms_rcall *c) { return c->call.op->flags & MS_SUMS; }

/* Is view k an image, to a call of the last two roles? */
static bool is_image(const ms_rcall *c, int k) {
  const int n = c->call.n_in;
  return (k < n ? ms_op_images_in(c->call.op) >> k : ms_op_images_out(c->call.op) >> (k - n)) & 1;
}

/* The elements that a call of role ELEMENTS runs over. */
static const ms_view *space_of(const ms_rcall *c) { return is_sum(c) ? &c->call.in[0] : &c->call.out[0]; }

/* Does a sum leave dimensions that keep their order, channels last or not? */
static bool order_stays(const ms_rcall *c) {
  const ms_ints *d = &c->attr[0].v;
  bool kept[4] = {true, true, true, true};
  for (int i = 0; i < d->n; i++) kept[d->at[i]] = false;
  const int64_t *shape = c->call.in[0].shape;
  return !kept[1] || ((!kept[2] || shape[2] == 1) && (!kept[3] || shape[3] == 1));
}

static int group_of(image *m, int i) {
  while (m[i].parent != i) i = m[i].parent = m[m[i].parent].parent;
  return i;
}

static void note_view(const ms_record *r, image *m, ms_rcall *c, int k) {
  const ms_view *v = ms_rcall_view(c, k);
  image *t = &m[c->slot[k]];
  t->may_turn &= v->rank == 4 && !c->offset[k] && v->shape[1] > 1 && v->shape[2] * v->shape[3] > 1 && ms_view_contiguous(v) &&
                 (size_t)ms_view_numel(v) * ms_dtype_size(v->dtype) == r->slot[c->slot[k]].bytes &&
                 (!t->seen || !memcmp(t->shape, v->shape, sizeof t->shape));
  t->seen = true;
  memcpy(t->shape, v->shape, sizeof t->shape);
}

/* Does a call that runs over these elements read or write, one by one, an image that may not turn? */
static bool is_fixed(const image *m, ms_rcall *c, int k, const ms_view *space) {
  const ms_view *v = ms_rcall_view(c, k);
  if (c->slot[k] < 0 || m[c->slot[k]].may_turn || v->rank != 4 || memcmp(v->shape, space->shape, sizeof m->shape)) return false;
  for (int i = 0; i < 4; i++)
    if (v->shape[i] > 1 && !v->stride[i]) return false;
  return true;
}

/* Tie the images of a call together; those of a call that knows one layout only stay. */
static void tie(image *m, ms_rcall *c) {
  role is = role_of(c);
  int first = -1, all = c->call.n_in + c->call.n_out;
  bool stays = is == ORDINARY;
  const ms_view *space = c->call.n_out ? space_of(c) : NULL;
  if (is == ELEMENTS) stays = space->rank != 4 || (is_sum(c) && !order_stays(c));
  for (int k = 0; k < all; k++) {
    if (c->slot[k] < 0) continue;
    if (!m[c->slot[k]].may_turn) {
      stays |= is == ELEMENTS ? is_fixed(m, c, k, space) : is == IMAGES && is_image(c, k);
      continue;
    }
    int group = group_of(m, c->slot[k]);
    if (is == FREE_IMAGES || is == IMAGES) m[group].stays |= !is_image(c, k);
    if (is == FREE_IMAGES || (is == IMAGES && !is_image(c, k))) continue;
    if (first >= 0) m[group].parent = first, m[first].stays |= m[group].stays;
    else first = group;
  }
  if (first >= 0) m[first].stays |= stays;
}

/* What the convolutions gain by each group. */
static void add_gains(const ms_record *r, image *m, ms_rcall *c) {
  if (role_of(c) != FREE_IMAGES) return;
  for (int k = 0; k < c->call.n_in + c->call.n_out; k++)
    if (c->slot[k] >= 0 && m[c->slot[k]].may_turn && is_image(c, k))
      m[group_of(m, c->slot[k])].gain += r->device->backend->prefers_last(&c->call, k);
}

/* ---- turning ----------------------------------------------------------------------------------------------------- */

static const int order[4] = {0, 2, 3, 1}; /* N, H, W, C */

static void contiguous_strides(ms_view *v) {
  int64_t step = 1;
  for (int i = v->rank - 1; i >= 0; step *= v->shape[i--]) v->stride[i] = step;
}

/* The same elements with the dimensions in the order N, H, W, C; turned: which is also how they lie. */
static void turn_view(ms_view *v, bool turned) {
  ms_view was = *v;
  int fewer = 4 - was.rank;
  v->rank = 4;
  for (int i = 0; i < 4; i++) {
    int from = order[i] - fewer;
    v->shape[i] = from < 0 ? 1 : was.shape[from], v->stride[i] = from < 0 ? 0 : was.stride[from];
  }
  if (turned) contiguous_strides(v);
}

static void turn_sum(ms_rcall *c) {
  static const int to[4] = {0, 3, 1, 2};
  ms_ints *d = &c->attr[0].v, was = *d;
  bool gone[4] = {false};
  for (int i = 0; i < was.n; i++) gone[to[was.at[i]]] = true;
  d->n = 0;
  for (int i = 0; i < 4; i++)
    if (gone[i]) d->at[d->n++] = i;
  turn_view(&c->call.in[0], true);
  if (c->call.out[0].rank == 4) turn_view(&c->call.out[0], false), contiguous_strides(&c->call.out[0]);
}

static void turn(const image *m, ms_rcall *c) {
  role is = role_of(c);
  int all = c->call.n_in + c->call.n_out;
  bool any = false;
  for (int k = 0; k < all; k++) {
    if (c->slot[k] < 0 || !m[c->slot[k]].turns) continue;
    any = true;
    if (is == ELEMENTS) continue;
    ms_view *v = ms_rcall_view(c, k); /* strides of N x H x W x C, for N x C x H x W */
    int64_t channels = v->shape[1];
    v->stride[3] = channels, v->stride[2] = v->shape[3] * channels, v->stride[0] = v->shape[2] * v->stride[2], v->stride[1] = 1;
  }
  if (!any || is != ELEMENTS) return;
  if (is_sum(c)) turn_sum(c);
  else
    for (int k = 0; k < all; k++) {
      ms_view *v = ms_rcall_view(c, k);
      if (!v->number && !v->absent) turn_view(v, c->slot[k] >= 0 && m[c->slot[k]].turns);
    }
}

int ms_step_channels_last(ms_step *s) {
  ms_record *r = s->r;
  if (!r->device->backend->prefers_last) return 0;
  image *m = calloc((size_t)r->n_slot + 1, sizeof *m);
  if (!m) return ms_fail("compile: out of memory"), -1;
  for (int i = 0; i < r->n_slot; i++) m[i].parent = i, m[i].may_turn = r->slot[i].kind == MS_SLOT_INTERNAL;
  for (int i = 0; i < r->n_call; i++)
    for (int k = 0; k < r->call[i].call.n_in + r->call[i].call.n_out && !s->dead[i]; k++)
      if (r->call[i].slot[k] >= 0) note_view(r, m, &r->call[i], k);
  for (int i = 0; i < r->n_slot; i++) m[i].may_turn &= m[i].seen;
  for (int i = 0; i < r->n_call; i++)
    if (!s->dead[i]) tie(m, &r->call[i]);
  for (int i = 0; i < r->n_call; i++)
    if (!s->dead[i]) add_gains(r, m, &r->call[i]);
  for (int i = 0; i < r->n_slot; i++) {
    const image *group = &m[group_of(m, i)];
    s->info.channels_last += m[i].turns = m[i].may_turn && !group->stays && group->gain > 0;
  }
  for (int i = 0; i < r->n_call && s->info.channels_last; i++)
    if (!s->dead[i]) turn(m, &r->call[i]);
  free(m);
  return 0;
}
