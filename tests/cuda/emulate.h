/* emulate.h -- lets a C++ compiler read the kernels of kernels/cuda: comes before each .cu file (-include). The threads of a block
 * are fibers of libcuda.c, which takes the place of NVIDIA's driver. Never part of the module. */
#ifndef EMULATE_H
#define EMULATE_H
#include <stddef.h>

typedef struct emulated_index {
  unsigned x, y, z;
} emulated_index;

#ifdef __cplusplus
extern "C" {
#endif
/* Of the thread that runs now. */
extern emulated_index emulated_thread, emulated_block, emulated_block_size, emulated_grid_size;
void emulated_barrier(const char *file, int line, int site);
void *emulated_shared(size_t bytes, int site); /* a block's own memory, one piece for each place in the source */
void emulated_trap(const char *file, int line);
void emulated_register(const char *name, size_t bytes, void (*run)(const void *params));
#ifdef __cplusplus
}

#define threadIdx          emulated_thread
#define blockIdx           emulated_block
#define blockDim           emulated_block_size
#define gridDim            emulated_grid_size
#define __syncthreads()    emulated_barrier(__FILE__, __LINE__, __COUNTER__)
#define __trap()           emulated_trap(__FILE__, __LINE__)
#define SHARED(T, name, n) T *const name = (T *)emulated_shared((n) * sizeof(T), __COUNTER__)
#define DEVICE_MEMBER      inline
#define DEVICE             static inline
#define ROLLED
#define KERNEL(name, params)                                                                                                       \
  static void name(const params &p);                                                                                               \
  static const emulated_kernel name##_known(#name, sizeof(params), [](const void *p) { name(*(const params *)p); });               \
  static void name(const params &p)

struct emulated_kernel {
  emulated_kernel(const char *name, size_t bytes, void (*run)(const void *)) { emulated_register(name, bytes, run); }
};
#endif
#endif
