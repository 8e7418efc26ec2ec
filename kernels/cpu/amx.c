/* amx.c -- amx.h's tiles. The instructions are written out: they need no compiler that knows them, only an assembler. */
#include "amx.h"
#include "tile.h"

#if defined(__AVX512F__) && defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18, AMX_BF16_BIT = 22, AMX_TILE_BIT = 24 }; /* the bits: edx of leaf 7 */

static bool ready;
static void ask(void) {
  unsigned a, b, c, d = 0;
  const char *say = getenv("MASCON_AMX");
  if (say && !strcmp(say, "0")) return;
  if (!MS_NAME(ms_bf16_ready)() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
  if (!(d >> AMX_BF16_BIT & 1) || !(d >> AMX_TILE_BIT & 1)) return;
  ready = !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
}
bool MS_NAME(ms_amx_ready)(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  return pthread_once(&once, ask), ready;
}

/* Tiles 0..3: results. 4, 5: of A. 6, 7: of B. A shape with more of either takes them by turns. */
typedef struct config {
  uint8_t palette, start, zero[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} config;

void MS_NAME(ms_amx_configure)(int64_t rows, int64_t words) {
  config f = {.palette = 1};
  for (int i = 0; i < 4; i++) f.rows[i] = (uint8_t)rows, f.row_bytes[i] = 64;
  for (int i = 4; i < 6; i++) f.rows[i] = (uint8_t)rows, f.row_bytes[i] = (uint16_t)(4 * words); /* A */
  for (int i = 6; i < 8; i++) f.rows[i] = (uint8_t)words, f.row_bytes[i] = 64;                   /* B */
  __asm__ volatile("ldtilecfg %0" ::"m"(f));
}
void MS_NAME(ms_amx_release)(void) { __asm__ volatile("tilerelease" ::: "memory"); }

#define LOAD(t, p, row)  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"(row) : "memory")
#define STORE(t, p, row) __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"(row) : "memory")
#define ZERO(t)          __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define DOT(c, a, b)     __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
#define A(t, i)          LOAD(t, (const char *)j->a[i] + at, j->a_row)
#define B(t, i)          LOAD(t, (const char *)j->b[i] + bt, j->b_row)
#define BEGIN(i)                                                                                                                   \
  if (j->start[0]) LOAD(i, j->start[i], j->start_row);                                                                             \
  else ZERO(i)
#define END(i) STORE(i, j->c[i], j->c_row)
#define LOOP(...)                                                                                                                  \
  for (int64_t run = 0; run < j->runs; run++) {                                                                                    \
    int64_t at = run * j->a_run, bt = run * j->b_run;                                                                              \
    for (int64_t step = 0; step < j->steps; step++, at += j->a_step, bt += j->b_step) { __VA_ARGS__ }                              \
  }

/* clang-format off */
void MS_NAME(ms_amx_tiles)(const ms_amx *j, int rows, int cols) {
  const int n = rows * cols;
  BEGIN(0);
  if (n > 1) { BEGIN(1); }
  if (n > 2) { BEGIN(2); }
  if (n > 3) { BEGIN(3); }
  if (rows == 2 && cols == 2) LOOP(A(4, 0); B(6, 0); DOT(0, 4, 6); B(7, 1); DOT(1, 4, 7); A(5, 1); DOT(2, 5, 6); DOT(3, 5, 7);)
  else if (rows == 4) LOOP(B(6, 0); A(4, 0); DOT(0, 4, 6); A(5, 1); DOT(1, 5, 6); A(4, 2); DOT(2, 4, 6); A(5, 3); DOT(3, 5, 6);)
  else if (cols == 4) LOOP(A(4, 0); B(6, 0); DOT(0, 4, 6); B(7, 1); DOT(1, 4, 7); B(6, 2); DOT(2, 4, 6); B(7, 3); DOT(3, 4, 7);)
  else if (rows == 3) LOOP(B(6, 0); A(4, 0); DOT(0, 4, 6); A(5, 1); DOT(1, 5, 6); A(4, 2); DOT(2, 4, 6);)
  else if (cols == 3) LOOP(A(4, 0); B(6, 0); DOT(0, 4, 6); B(7, 1); DOT(1, 4, 7); B(6, 2); DOT(2, 4, 6);)
  else if (rows == 2) LOOP(B(6, 0); A(4, 0); DOT(0, 4, 6); A(5, 1); DOT(1, 5, 6);)
  else if (cols == 2) LOOP(A(4, 0); B(6, 0); DOT(0, 4, 6); B(7, 1); DOT(1, 4, 7);)
  else LOOP(A(4, 0); B(6, 0); DOT(0, 4, 6);)
  END(0);
  if (n > 1) END(1);
  if (n > 2) END(2);
  if (n > 3) END(3);
}
/* clang-format on */

#else
bool MS_NAME(ms_amx_ready)(void) { return false; }
void MS_NAME(ms_amx_configure)(int64_t rows, int64_t words) { (void)rows, (void)words; }
void MS_NAME(ms_amx_release)(void) {}
void MS_NAME(ms_amx_tiles)(const ms_amx *j, int rows, int cols) { (void)j, (void)rows, (void)cols; }
#endif
