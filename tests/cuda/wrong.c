/* wrong.c -- does the emulator find what is wrong? `wrong KERNEL` launches a kernel of wrong.cu and says what came of it. */
#include "driver.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FUNCTION(name, symbol, parameters) CUresult symbol parameters;
MS_CUDA_FUNCTIONS(FUNCTION)

enum { N = 64 };

int main(int argc, char **argv) {
  CUdeviceptr to;
  CUstream s;
  CUmodule m;
  CUfunction f;
  int got[N] = {0};
  if (argc != 2 || cuStreamCreate(&s, 0) || cuMemAlloc_v2(&to, sizeof got)) return 2;
  if (cuModuleLoadData(&m, "emulated wrong") || cuModuleGetFunction(&f, m, argv[1])) return 2;
  struct {
    int *to;
    int n;
  } p = {(int *)(uintptr_t)to, N};
  const CUresult launched = cuLaunchKernel(f, 1, 1, 1, N, 1, 1, 0, s, (void *[]){&p}, NULL);
  p.n = 0; /* what was launched has its own */
  const CUresult copied = cuMemcpyDtoHAsync_v2(got, to, sizeof got, s);
  printf("launch %d, copy %d, before the wait %d", (int)launched, (int)copied, got[3]);
  const CUresult waited = cuStreamSynchronize(s);
  int right = 0;
  for (int i = 0; i < N; i++) right += got[i] == (i + 1) % N * ((i + 1) % N);
  printf(", wait %d, %s, afterwards %d\n", (int)waited, right == N ? "right" : "wrong", (int)cuMemAlloc_v2(&to, 8));
  return 0;
}
