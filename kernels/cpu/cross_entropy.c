/* cross_entropy.c -- cross_entropy of N x classes and a label per row, its derivative, and nll_loss. A row's largest element is
 * subtracted before exp, so that nothing overflows. BLOCK rows are worked on at a time. */
#include "loss.h"
#include "move.h"
#include "../math.h"

enum {
  BLOCK = 16,       /* rows at a time */
  FEW_CLASSES = 32, /* up to which a block is transposed */
  LANES = 16,       /* elements of a longer row side by side: partial sums and largest elements */
  COST = 8,         /* simple operations that an element takes (ms_team) */
};

static inline int64_t label_of(const ms_view *labels, int64_t row) { return index_value(labels, row * labels->stride[0]); }

#define T    float
#define G(x) x##_f32
#include "cross_entropy_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "cross_entropy_template.h"
#undef T
#undef G

static bool rows_contiguous(const ms_call *c) { return f32_or_f64(c) && ms_view_contiguous(&c->in[0]); }

static int run_cross_entropy(ms_call *c) {
  if (c->in[0].dtype == MS_F32) cross_entropy_f32(c);
  else cross_entropy_f64(c);
  return 0;
}
MS_KERNEL(plain_cross_entropy, .supports = rows_contiguous, .run = run_cross_entropy);

static bool supports_grad(const ms_call *c) { return f32_or_f64(c) && ms_view_contiguous(&c->in[1]); }

static int run_cross_entropy_grad(ms_call *c) {
  if (!c->in[1].shape[1]) return 0; /* no classes */
  if (c->out[0].dtype == MS_F32) cross_entropy_grad_f32(c);
  else cross_entropy_grad_f64(c);
  return 0;
}
MS_KERNEL(cross_entropy_grad, .supports = supports_grad, .run = run_cross_entropy_grad);

static int run_nll(ms_call *c) {
  if (c->in[0].dtype == MS_F32) nll_f32(c);
  else nll_f64(c);
  return 0;
}
MS_KERNEL(plain_nll_loss, .supports = f32_or_f64, .run = run_nll);
