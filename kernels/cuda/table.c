/* table.c -- the kernels by operation; NULL where there is none. */
#include "cuda.h"
#include "op_ids.h"

#define OP(name, ...) extern const ms_kernel ms_cuda_##name __attribute__((weak));
#define E1(name, ...) OP(name, )
#define E2(name, ...) OP(name, )
#define E3(name, ...) OP(name, )
#include "elementwise.def"
#include "ops.def"
#undef OP
#define OP(name, ...) [MS_OP_##name] = &ms_cuda_##name,

static const ms_kernel *const table[MS_OP_COUNT] = {
#include "elementwise.def"
#include "ops.def"
};

const ms_kernel *ms_cuda_kernel(const ms_call *c) {
  const ms_kernel *k = table[c->op->id];
  return k && (!k->supports || k->supports(c)) ? k : NULL;
}
