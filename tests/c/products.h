/* products.h -- what test_matmul.c and test_conv.c share: tensors with known elements, comparisons with plain sums in double, and
 * gradients of first and second order against finite differences. */
#ifndef PRODUCTS_H
#define PRODUCTS_H
#include "core/core.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- tensors with known elements --------------------------------------------------------------------------------- */

static uint64_t state = 1;
static bool coarse; /* draw numbers, none 0, that are the same in bf16: then rounding operands to it changes nothing */
static inline double uniform(void) { /* -1 .. 1; Knuth's MMIX generator */
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)(state >> 11) / (double)(1ull << 52) - 1;
}
static inline double draw(void) { return coarse ? (2 * floor(64 * uniform()) + 1) / 128 : uniform(); }
static inline int64_t pick(int64_t lo, int64_t hi) {
  const int64_t k = lo + (int64_t)((uniform() + 1) / 2 * (double)(hi - lo + 1));
  return k < hi ? k : hi;
}

static inline ms_tensor *need(ms_tensor *t) {
  if (!t) fail_msg("%s", ms_error());
  return t;
}

static inline ms_tensor *random_tensor(int dtype, int rank, const int64_t *shape) {
  ms_tensor *t = need(ms_empty((ms_dtype)dtype, rank, shape, NULL));
  for (int64_t i = 0; i < ms_numel(t); i++)
    if (dtype == MS_F32) ((float *)ms_data(t))[i] = (float)draw();
    else ((double *)ms_data(t))[i] = draw();
  return t;
}
#define RANDOM(dtype, ...) random_tensor(dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__})

/* Element at an index of any view; indices beyond a broadcast dimension repeat it. */
static inline double at(const ms_tensor *t, const int64_t *index) {
  int64_t k = 0;
  for (int i = 0; i < t->rank; i++) k += (t->shape[i] == 1 ? 0 : index[i]) * t->stride[i];
  return t->dtype == MS_F32 ? ((const float *)ms_data(t))[k] : ((const double *)ms_data(t))[k];
}
static inline double at4(const ms_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d) { return at(t, (int64_t[]){a, b, c, d}); }

/* |got - want| within the rounding of a sum whose terms add up to `mass` in size; `drift`: how many roundings in a row may go the
 * same way, as those of equal terms do. */
static inline void close_to(int dtype, double got, double want, double mass, int64_t drift, const char *what) {
  double eps = (dtype == MS_F32 ? 6e-8 : 1.2e-16) * (double)(16 + drift);
  if (!(fabs(got - want) <= eps * (mass + 1))) fail_msg("%s: got %.17g, expected %.17g (sum of sizes %g)", what, got, want, mass);
}

static inline void same_bits(ms_tensor *a, ms_tensor *b, const char *what) {
  assert_int_equal(ms_numel(a), ms_numel(b));
  if (memcmp(ms_data(a), ms_data(b), (size_t)ms_numel(a) * ms_dtype_size(ms_tensor_dtype(a))) != 0)
    fail_msg("%s: the bits depend on the number of threads", what);
}

static inline void fails(ms_tensor *t, const char *with) {
  assert_null(t);
  assert_non_null(ms_error());
  if (!strstr(ms_error(), with)) fail_msg("the message \"%s\" does not say \"%s\"", ms_error(), with);
  ms_error_clear();
}

static int mark;
static inline int open_scope(void **s) { return (void)s, mark = ms_scope_open(), ms_set_threads(2), 0; }
static inline int close_scope(void **s) { return (void)s, ms_error_clear(), ms_scope_close(mark), 0; }
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)

/* ---- bf16: the same tests on numbers it holds, and again in a process that may not use AMX ------------------------- */

static inline int open_bf16(void **s) {
  open_scope(s);
  if (ms_set_precision("bf16") < 0) return ms_error_clear(), 0; /* a processor without: f32 must do as well */
  return coarse = true, 0;
}
static inline int close_bf16(void **s) {
  coarse = false;
  ms_set_precision("f32");
  return close_scope(s);
}
#define LAST_DTYPE (coarse ? MS_F32 : MS_F64)
#define TEST_BF16(f)                                                                                                               \
  { #f "_bf16", f, open_bf16, close_bf16, NULL }

/* Is this the process that without_amx started? Then the tests of bf16 are all that it runs. */
static inline bool amx_is_off(void) { return getenv("MASCON_AMX") != NULL; }
static inline void without_amx(void **s) {
  (void)s;
  char self[4096], command[4200];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n < 0) {
    print_message("skipped: no /proc/self/exe to start this test again without AMX\n");
    skip();
  }
  self[n] = 0;
  snprintf(command, sizeof command, "MASCON_AMX=0 '%s' 2>&1", self);
  if (system(command)) fail_msg("the tests of bf16 fail without AMX: see above");
}

/* ---- gradients, first and second order, in f64 ------------------------------------------------------------------- */

typedef ms_tensor *(*function)(ms_tensor **x, const void *data); /* one element */

static inline void check_gradient(function f, int n, ms_tensor **x, const void *data, bool again);

typedef struct inner {
  function f;
  const void *data;
  int n;
  ms_tensor **v;
} inner;

/* sum_i <df/dx_i, v_i>: its gradient is the second derivative of f along v. */
static inline ms_tensor *slope(ms_tensor **x, const void *data) {
  const inner *in = data;
  ms_tensor *dx[4], *sum = NULL;
  if (ms_grad(in->f(x, in->data), NULL, in->n, x, dx, false) < 0) return NULL;
  for (int i = 0; i < in->n; i++) {
    ms_tensor *part = ms_sum_all(ms_mul(dx[i], in->v[i]));
    sum = sum ? ms_add(sum, part) : part;
  }
  return sum;
}

static inline void check_gradient(function f, int n, ms_tensor **x, const void *data, bool again) {
  ms_tensor *dx[4], *v[4];
  for (int i = 0; i < n; i++) assert_int_equal(ms_set_requires_grad(x[i], true), 0);
  ms_tensor *y = need(f(x, data));
  if (ms_grad(y, NULL, n, x, dx, false) < 0) fail_msg("%s", ms_error());
  for (int i = 0; i < n; i++)
    for (int t = 0; t < 8; t++) {
      int in = ms_scope_open();
      int64_t k = pick(0, ms_numel(x[i]) - 1);
      double *e = (double *)ms_data(x[i]) + k, was = *e, h = 1e-5, up, down;
      *e = was + h, up = ms_item(need(f(x, data)));
      *e = was - h, down = ms_item(need(f(x, data)));
      *e = was;
      double want = (up - down) / (2 * h), got = ((double *)ms_data(need(ms_contiguous(dx[i]))))[k];
      if (!(fabs(got - want) <= 1e-6 * (1 + fabs(want))))
        fail_msg("input %d, element %d: got %.12g, differences give %.12g", i, (int)k, got, want);
      ms_scope_close(in);
    }
  if (!again) return;
  for (int i = 0; i < n; i++) v[i] = random_tensor(MS_F64, ms_rank(x[i]), ms_shape(x[i]));
  const inner next = {f, data, n, v};
  check_gradient(slope, n, x, &next, false);
}

static inline ms_tensor *cubes(ms_tensor *y) { return ms_sum_all(ms_mul(ms_mul(y, y), y)); }

#endif
