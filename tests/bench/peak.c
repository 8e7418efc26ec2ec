/* peak -- what this machine can do at most, and how a program starts.
 *
 *   peak                      one line of JSON: f32 multiply-add GFLOP/s in registers, GB/s read from L2 and from memory, and of a
 * triad (a = b + s c, counted as three streams), each with 1 thread and with all of OMP_NUM_THREADS peak start N PROGRAM ...  one
 * line of JSON: median milliseconds from fork to the first byte PROGRAM writes, and to its end; its largest peak of resident
 * memory, MB
 *
 * Built by run.sh with -O3 -march=native -fopenmp; not part of the product. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LANES 16
typedef float vec __attribute__((vector_size(4 * LANES), aligned(64)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 24 chains: more than latency (4-5 cycles) times two units ask for, and few enough for 32 registers. */
enum { CHAINS = 24 };
static float sink;

static void fma_loop(long n) {
  vec a[CHAINS], m, s;
  for (int k = 0; k < LANES; k++) m[k] = 0.999f, s[k] = 0.001f;
  for (int c = 0; c < CHAINS; c++)
    for (int k = 0; k < LANES; k++) a[c][k] = (float)c;
  for (long i = 0; i < n; i++) {
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; c++) { a[c] = a[c] * m + s; }
  }
  float t = 0;
  for (int c = 0; c < CHAINS; c++)
    for (int k = 0; k < LANES; k++) t += a[c][k];
#pragma omp atomic
  sink += t;
}

static double fma_peak(int threads) {
  const long n = 2000000;
  double best = 0;
  for (int round = 0; round < 5; round++) {
    double from = now();
#pragma omp parallel num_threads(threads)
    fma_loop(n);
    double rate = 2.0 * LANES * CHAINS * (double)n * threads / (now() - from) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

static float read_sum(const float *x, size_t n) {
  vec s[4] = {{0}};
  const vec *v = (const vec *)x;
  for (size_t i = 0; i < n / LANES; i += 4)
    for (int k = 0; k < 4; k++) s[k] += v[i + (size_t)k];
  vec t = s[0] + s[1] + s[2] + s[3];
  float r = 0;
  for (int k = 0; k < LANES; k++) r += t[k];
  return r;
}

/* Each thread reads `bytes` of its own, `passes` times. */
static double read_rate(int threads, size_t bytes, int passes) {
  double best = 0;
  size_t n = bytes / sizeof(float);
  float *x = aligned_alloc(4096, bytes * (size_t)threads);
  if (!x) return 0;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; t++) memset(x + (size_t)t * n, 0, bytes);
  for (int round = 0; round < 5; round++) {
    double from = now();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
      float s = 0;
      for (int p = 0; p < passes; p++) {
        s += read_sum(x + (size_t)t * n, n);
        __asm__ volatile("" ::: "memory");
      }
#pragma omp atomic
      sink += s;
    }
    double rate = (double)bytes * threads * passes / (now() - from) / 1e9;
    if (rate > best) best = rate;
  }
  free(x);
  return best;
}

static double triad_rate(int threads) {
  const size_t n = (size_t)32 << 20;
  double best = 0;
  float *a = aligned_alloc(4096, n * 4), *b = aligned_alloc(4096, n * 4), *c = aligned_alloc(4096, n * 4);
  if (a && b && c) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < n; i++) a[i] = 0, b[i] = 1, c[i] = 2;
    for (int round = 0; round < 5; round++) {
      double from = now();
#pragma omp parallel for simd num_threads(threads) schedule(static)
      for (size_t i = 0; i < n; i++) a[i] = b[i] + 3 * c[i];
      double rate = 12.0 * (double)n / (now() - from) / 1e9;
      if (rate > best) best = rate;
    }
    sink += a[n / 2];
  }
  free(a), free(b), free(c);
  return best;
}

static int peak(void) {
  int all = omp_get_max_threads();
  printf("{\"threads\": %d", all);
  for (int k = 0; k < 2; k++) {
    int t = k ? all : 1;
    printf(", \"fma%s\": %.0f", k ? "_all" : "", fma_peak(t));
    printf(", \"l2%s\": %.0f", k ? "_all" : "", read_rate(t, 256 << 10, 4000));
    printf(", \"memory%s\": %.1f", k ? "_all" : "", read_rate(t, (size_t)256 << 20, 1));
    printf(", \"triad%s\": %.1f", k ? "_all" : "", triad_rate(t));
  }
  puts("}");
  return sink == 12345 ? 2 : 0; /* the sums are used */
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static int start(int n, char **program) {
  double *first = calloc((size_t)n, sizeof *first), *whole = calloc((size_t)n, sizeof *whole), most = 0;
  if (!first || !whole) return 2;
  for (int i = -1; i < n; i++) { /* -1: to have it in the page cache */
    int fd[2];
    if (pipe(fd) < 0) return perror("pipe"), 2;
    double from = now();
    pid_t pid = fork();
    if (pid < 0) return perror("fork"), 2;
    if (!pid) {
      dup2(fd[1], 1), close(fd[0]), close(fd[1]);
      execvp(program[0], program);
      _exit(127);
    }
    close(fd[1]);
    char buffer[4096];
    ssize_t got = read(fd[0], buffer, 1);
    double seen = now() - from;
    while (read(fd[0], buffer, sizeof buffer) > 0) {}
    close(fd[0]);
    struct rusage use;
    int status;
    if (wait4(pid, &status, 0, &use) < 0 || status || got != 1)
      return fprintf(stderr, "%s: failed or wrote nothing\n", program[0]), 2;
    if (i >= 0) first[i] = seen * 1e3, whole[i] = (now() - from) * 1e3;
    if ((double)use.ru_maxrss / 1024 > most) most = (double)use.ru_maxrss / 1024;
  }
  qsort(first, (size_t)n, sizeof *first, by_value);
  qsort(whole, (size_t)n, sizeof *whole, by_value);
  printf("{\"first\": %.2f, \"p10\": %.2f, \"p90\": %.2f, \"whole\": %.2f, \"rss\": %.1f}\n", first[n / 2], first[n / 10],
         first[9 * n / 10], whole[n / 2], most);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 1) return peak();
  if (argc > 3 && !strcmp(argv[1], "start") && atoi(argv[2]) > 0) return start(atoi(argv[2]), argv + 3);
  fputs("usage: peak | peak start N PROGRAM ARGS...\n", stderr);
  return 2;
}
