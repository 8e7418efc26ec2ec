/* cuda.h -- what the host side of the CUDA kernels shares. A kernel of the contract (ms_kernel) is C that fills a struct of
 * params.h and launches kernels by name. The .cu file X.cu becomes one image, X, which is loaded when the first of its kernels is
 * asked for.
 *
 * A new file of kernels: X.cu, its name in MS_CUDA_IMAGES, and X.c with MS_CUDA_KERNEL lines, whose rows then have a kernel. */
#ifndef MS_CUDA_H
#define MS_CUDA_H
#include "backend.h"
#include "driver.h"
#include "params.h"

#define MS_CUDA_IMAGES(IMAGE) IMAGE(elementwise) IMAGE(copy) IMAGE(create) IMAGE(reduce) IMAGE(matmul)

typedef enum ms_cuda_image {
#define IMAGE(name) MS_CUDA_##name,
  MS_CUDA_IMAGES(IMAGE)
#undef IMAGE
      MS_CUDA_IMAGE_COUNT
} ms_cuda_image;

/* The compiled .cu files: machine code for several architectures. NULL: this program was built without nvcc. */
extern const void *const ms_cuda_images[MS_CUDA_IMAGE_COUNT];
extern const char ms_cuda_built_for[]; /* "sm_80, sm_90, sm_100" */

/* The kernel that an operation has here; rows without one are NULL in the table (weak symbols). */
#define MS_CUDA_KERNEL(name, ...)                                                                                                  \
  extern const ms_kernel ms_cuda_##name;                                                                                           \
  const ms_kernel ms_cuda_##name = {__VA_ARGS__}

enum { MS_CUDA_THREADS = 256 }; /* of a block, where nothing else asks for another number */

/* Queue a kernel with its one parameter. 0, or -1 after ms_fail. */
int ms_cuda_launch(ms_queue *q, ms_cuda_image image, const char *name, int64_t blocks, int threads, void *params);
/* The same where each of n elements is a thread's, by turns (EACH_PLACE); nothing where n is 0. */
int ms_cuda_launch_each(ms_queue *q, ms_cuda_image image, const char *name, int64_t n, void *params);

/* Queue a kernel on a walk through `out` and n operands, each broadcast to it. */
int ms_cuda_each(const ms_call *c, ms_cuda_image image, const char *name, const ms_view *out, int n, const ms_view *in);

const char *ms_cuda_suffix(int dtype); /* of a kernel's name: "f32"; bool is u8. NULL: f16, bf16 */
int ms_cuda_upload(ms_queue *q, void *to, const void *host, size_t bytes);
const ms_kernel *ms_cuda_kernel(const ms_call *c);

#endif
