/* loss.c -- losses element by element, in one pass: the losses of a strip go into a buffer and are added up there, then comes the
 * next strip. Operands that are not contiguous take the rules' references. */
#include "loss.h"
#include "sum.h"
#include "../math.h"

enum {
  STRIP = 1024,    /* elements of a strip: the buffer stays in L1 */
  LONG_CHUNKS = 8, /* chunks (MS_CHUNK) from which on a sum is cut into groups */
  COST_MSE = 1,    /* simple operations that an element takes (ms_team) */
  COST_BCE = 16,   /* two logarithms, or one and an exponential */
};

#define T    float
#define G(x) x##_f32
#include "loss_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "loss_template.h"
#undef T
#undef G

/* Contiguous, and without weights. */
static bool contiguous(const ms_call *c) {
  for (int i = 0; i < c->n_in; i++)
    if (i < 2 ? !ms_view_contiguous(&c->in[i]) : !c->in[i].absent) return false;
  return f32_or_f64(c);
}

static int run_mse(ms_call *c) { return c->in[0].dtype == MS_F32 ? run_mse_f32(c) : run_mse_f64(c); }
static int run_bce(ms_call *c) { return c->in[0].dtype == MS_F32 ? run_bce_f32(c) : run_bce_f64(c); }
static int run_bce_logits(ms_call *c) { return c->in[0].dtype == MS_F32 ? run_bce_logits_f32(c) : run_bce_logits_f64(c); }
MS_KERNEL(mse_loss, .supports = contiguous, .run = run_mse);
MS_KERNEL(bce_loss, .supports = contiguous, .run = run_bce);
MS_KERNEL(bce_with_logits, .supports = contiguous, .run = run_bce_logits);
