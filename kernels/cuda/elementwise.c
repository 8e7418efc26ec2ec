/* elementwise.c -- the rows of elementwise.def: each has the kernels NAME_DTYPE of elementwise.cu. */
#include "cuda.h"
#include "elementwise_ids.h"
#include <stdio.h>

/* The dtypes of a class, a bit each; the dtype that decides is the last operand's (the first may be the bool of a choice). */
#define BIT(d)        (1u << MS_##d)
#define TYPES_FLOAT   (BIT(F32) | BIT(F64))
#define TYPES_WHOLE   (BIT(I64) | BIT(I32) | BIT(U8))
#define TYPES_LOGIC   BIT(BOOL)
#define TYPES_ARITH   (TYPES_FLOAT | TYPES_WHOLE | TYPES_LOGIC)
#define TYPES_BOUND   TYPES_ARITH
#define TYPES_COMPARE TYPES_ARITH
#define TYPES_CHOOSE  TYPES_ARITH

static int deciding(const ms_call *c) { return c->in[c->n_in - 1].dtype; }

/* Powers people write every day are products and roots, as on the CPU. NULL: any other. */
static const char *power_name(const ms_call *c) {
  if (!c->in[1].number || !(TYPES_FLOAT >> c->in[0].dtype & 1)) return NULL;
  const double y = ms_scalar_value(*c->in[1].number);
  return y == 2      ? "square"
         : y == 3    ? "power_of_3"
         : y == 1    ? "power_of_1"
         : y == -1   ? "reciprocal"
         : y == 0.5  ? "sqrt"
         : y == -0.5 ? "rsqrt"
                     : NULL;
}

static int run(ms_call *c) {
  char name[64];
  const char *power = c->op->id == MS_OP_pow ? power_name(c) : NULL;
  snprintf(name, sizeof name, "%s_%s", power ? power : c->op->name, ms_cuda_suffix(deciding(c)));
  return ms_cuda_each(c, MS_CUDA_elementwise, name, &c->out[0], power ? 1 : c->n_in, c->in);
}

#define OP(...)
#define E1(name, cls, ...)                                                                                                         \
  static bool supports_##name(const ms_call *c) { return TYPES_##cls >> deciding(c) & 1; }                                         \
  MS_CUDA_KERNEL(name, .supports = supports_##name, .run = run);
#define E2(name, cls, ...) E1(name, cls, )
#define E3(name, cls, ...) E1(name, cls, )
#include "elementwise.def"
