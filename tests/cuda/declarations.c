/* declarations.c -- do our declarations of the driver (kernels/cuda/driver.h) agree with CUDA's own? The types are compared by the
 * compiler; main compares the versioned names. */
#include <cuda.h>
#include <stdio.h>
#include <string.h>
#define MS_CUDA_TYPES_KNOWN
#include "driver.h"

#define FUNCTION(name, symbol, parameters)                                                                                         \
  _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), CUresult(*) parameters), #symbol);
MS_CUDA_FUNCTIONS(FUNCTION)
_Static_assert(sizeof(CUresult) == sizeof(int) && sizeof(CUdevice) == sizeof(int), "results and devices are ints");
_Static_assert(__builtin_types_compatible_p(CUdeviceptr, unsigned long long), "CUdeviceptr");
_Static_assert((int)MS_CUDA_OUT_OF_MEMORY == CUDA_ERROR_OUT_OF_MEMORY && (int)MS_CUDA_NO_DEVICE == CUDA_ERROR_NO_DEVICE, "results");
_Static_assert((int)MS_CUDA_NO_BINARY == CUDA_ERROR_NO_BINARY_FOR_GPU, "results");
_Static_assert((int)MS_CUDA_UNSUPPORTED_PTX == CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "results");
_Static_assert((int)MS_CUDA_PROCESSORS == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, "attributes");
_Static_assert((int)MS_CUDA_MAJOR == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, "attributes");
_Static_assert((int)MS_CUDA_MINOR == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, "attributes");
_Static_assert((int)MS_CUDA_STREAM_NON_BLOCKING == CU_STREAM_NON_BLOCKING, "flags");

#define TEXT(x)  #x
#define TEXT_(x) TEXT(x) /* after the headers' macros: the name with its version */

int main(void) {
  int bad = 0;
  /* The name in the library: what the header's macro makes of the name without a version. */
  const char *pairs[][2] = {{"cuMemAlloc_v2", TEXT_(cuMemAlloc)},
                            {"cuMemFree_v2", TEXT_(cuMemFree)},
                            {"cuDeviceTotalMem_v2", TEXT_(cuDeviceTotalMem)},
                            {"cuMemcpyHtoDAsync_v2", TEXT_(cuMemcpyHtoDAsync)},
                            {"cuMemcpyDtoHAsync_v2", TEXT_(cuMemcpyDtoHAsync)},
                            {"cuMemcpyDtoDAsync_v2", TEXT_(cuMemcpyDtoDAsync)},
                            {"cuStreamCreate", TEXT_(cuStreamCreate)},
                            {"cuStreamSynchronize", TEXT_(cuStreamSynchronize)},
                            {"cuModuleLoadData", TEXT_(cuModuleLoadData)},
                            {"cuModuleGetFunction", TEXT_(cuModuleGetFunction)},
                            {"cuDevicePrimaryCtxRetain", TEXT_(cuDevicePrimaryCtxRetain)},
                            {"cuLaunchKernel", TEXT_(cuLaunchKernel)}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    if (strcmp(pairs[i][0], pairs[i][1])) bad = printf("%s is %s\n", pairs[i][0], pairs[i][1]);
  return bad != 0;
}
