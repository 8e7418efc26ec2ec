/* join.c -- cat: each tensor is copied to its slice of the result. */
#include "move.h"

static int cat_run(ms_call *c) {
  const ms_view *r = &c->out[0];
  int d = (int)c->attr[0].i;
  size_t size = ms_dtype_size(r->dtype);
  int64_t start = 0;
  for (int k = 0; k < c->n_in; k++) {
    const ms_view *x = &c->in[k];
    ms_view to = *r;
    to.shape[d] = x->shape[d];
    to.data = (char *)r->data + (size_t)(start * r->stride[d]) * size;
    start += x->shape[d];
    if (ms_view_numel(x)) move_view(&to, x);
  }
  return 0;
}
MS_KERNEL(cat, .run = cat_run);
