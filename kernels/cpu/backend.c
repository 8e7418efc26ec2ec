/* backend.c -- the CPU as a backend: memory, and the kernel table of the best instruction-set level this processor runs.
 * MASCON_ISA=v2|v3|v4 asks for a lower one. Compiled once. */
#define _GNU_SOURCE
#include "backend.h"
#include "op_ids.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

typedef struct isa { /* what is compiled once per level */
  const ms_kernel *const *table;
  bool (*fusible)(const ms_call *c);
  bool (*heads)(const ms_call *c);
  const ms_kernel *(*fuse)(const ms_part *part, int n);
  double (*prefers_last)(const ms_call *c, int k);
  bool (*bf16)(void);
} isa;

#define ISA(level, weak)                                                                                                           \
  extern const ms_kernel *const ms_cpu_table_##level[MS_OP_COUNT] weak;                                                            \
  bool ms_cpu_fusible_##level(const ms_call *c) weak;                                                                              \
  bool ms_cpu_heads_##level(const ms_call *c) weak;                                                                                \
  const ms_kernel *ms_cpu_fuse_##level(const ms_part *part, int n) weak;                                                           \
  double ms_cpu_prefers_last_##level(const ms_call *c, int k) weak;                                                                \
  bool ms_bf16_ready_##level(void) weak;
#define WEAK __attribute__((weak))
ISA(v2, )
ISA(v3, WEAK)
ISA(v4, WEAK)

#define ISA_OF(v)                                                                                                                  \
  (isa) { ms_cpu_table_##v, ms_cpu_fusible_##v, ms_cpu_heads_##v, ms_cpu_fuse_##v, ms_cpu_prefers_last_##v, ms_bf16_ready_##v }
static isa use;

static isa pick(const char **name) {
  const char *ask = getenv("MASCON_ISA");
  int highest = ask && ask[0] == 'v' ? atoi(ask + 1) : 4;
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  if (v4 && highest >= 4 && ms_cpu_table_v4) return *name = "AVX-512", ISA_OF(v4);
  if (v3 && highest >= 3 && ms_cpu_table_v3) return *name = "AVX2", ISA_OF(v3);
#endif
  (void)highest;
  return *name = "baseline", ISA_OF(v2);
}

struct ms_queue {
  int index;
};
static ms_queue the_queue; /* the processor does at once what it is asked */

static ms_queue *open_cpu(int index, char *description, size_t size) {
  const char *name;
  if (index) return ms_fail("no cpu:%d: the processor is one device", index);
  use = pick(&name);
  snprintf(description, size, "%s kernels, %d threads", name, ms_threads());
  return &the_queue;
}

static void *alloc_cpu(ms_queue *q, size_t bytes) {
  (void)q;
  size_t huge = (size_t)2 << 20;
  size_t align = bytes >= huge ? huge : 64;
  void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
#ifdef MADV_HUGEPAGE
  if (p && align == huge) madvise(p, bytes / huge * huge, MADV_HUGEPAGE);
#endif
  return p;
}

static void free_cpu(ms_queue *q, void *p) { (void)q, free(p); }
static int copy_cpu(ms_queue *q, void *to, const void *from, size_t bytes) { return (void)q, memcpy(to, from, bytes), 0; }
static int sync_cpu(ms_queue *q) { return (void)q, 0; }

static const ms_kernel *kernel_cpu(const ms_call *c) {
  const ms_kernel *k = use.table[c->op->id];
  return k && (!k->supports || k->supports(c)) ? k : NULL;
}

static bool fusible_cpu(const ms_call *c) { return use.fusible(c); }
static bool heads_cpu(const ms_call *c) { return use.heads(c); }
static const ms_kernel *fuse_cpu(const ms_part *part, int n) { return use.fuse(part, n); }

static unsigned precisions_cpu(ms_queue *q) {
  (void)q;
  return 1u << MS_PRECISION_F32 | (use.bf16() ? 1u << MS_PRECISION_BF16 : 0);
}
static double prefers_last_cpu(const ms_call *c, int k) { return use.prefers_last(c, k); }

/* The weights are spread forward, and their gradient gathered backward: each costs `wider`. */
static bool folds_cpu(const ms_call *c, double all, double fewer, double wider) { return (void)c, (void)all, fewer > 2 * wider; }

/* ---- denormals ---------------------------------------------------------------------------------------------------
 * A processor takes some hundred cycles for a product with one. Two flags make it read and write zero; they are set around runs
 * only, so that a program's own arithmetic stays as it is. */
#if defined(__x86_64__)
#define FLUSH 0x8040u /* flush to zero, denormals are zero */

static unsigned enter_cpu(void) {
  const unsigned before = _mm_getcsr(), now = (before & ~FLUSH) | (ms_flush_denormal() ? FLUSH : 0);
  if (now != before) _mm_setcsr(now);
  return before;
}

static void leave_cpu(unsigned before) {
  if ((_mm_getcsr() ^ before) & FLUSH) _mm_setcsr(before);
}
#else
#define enter_cpu NULL
#define leave_cpu NULL
#endif

static const ms_backend cpu = {
    .abi = MS_ABI,
    .name = "cpu",
    .open = open_cpu,
    .alloc = alloc_cpu,
    .free = free_cpu,
    .upload = copy_cpu,
    .download = copy_cpu,
    .copy = copy_cpu,
    .sync = sync_cpu,
    .kernel = kernel_cpu,
    .precisions = precisions_cpu,
    .host_memory = true,
    .enter = enter_cpu,
    .leave = leave_cpu,
    .fusible = fusible_cpu,
    .heads = heads_cpu,
    .fuse = fuse_cpu,
    .prefers_last = prefers_last_cpu,
    .folds = folds_cpu,
};

const ms_backend *ms_backend_cpu(void) { return &cpu; }
