/* table.c -- the kernels of one instruction-set level by operation; NULL where there is none. */
#include "cpu.h"
#include "op_ids.h"

#define OP(name, ...) extern const ms_kernel MS_JOIN(ms_cpu_, name, MS_ISA) __attribute__((weak));
#define E1(name, ...) OP(name, )
#define E2(name, ...) OP(name, )
#define E3(name, ...) OP(name, )
#include "elementwise.def"
#include "ops.def"
#undef OP
#define OP(name, ...) [MS_OP_##name] = &MS_JOIN(ms_cpu_, name, MS_ISA),

extern const ms_kernel *const MS_NAME(ms_cpu_table)[MS_OP_COUNT];
const ms_kernel *const MS_NAME(ms_cpu_table)[MS_OP_COUNT] = {
#include "elementwise.def"
#include "ops.def"
};
