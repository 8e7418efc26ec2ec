/* driver.h -- what we use of NVIDIA's driver, libcuda.so.1: our own declarations, so that neither CUDA's headers nor its libraries
 * are needed to build or to start. The driver is opened when a device is first asked for. tests/cuda/declarations.c compares all of
 * this with CUDA's own headers, where they are. */
#ifndef MS_CUDA_DRIVER_H
#define MS_CUDA_DRIVER_H
#include <stdbool.h>
#include <stddef.h>

#ifndef MS_CUDA_TYPES_KNOWN
typedef int CUresult, CUdevice, CUdevice_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
#endif

/* FUNCTION(name in our table, name in the library, parameters) */
#define MS_CUDA_FUNCTIONS(FUNCTION)                                                                                                \
  FUNCTION(init, cuInit, (unsigned))                                                                                               \
  FUNCTION(driver_version, cuDriverGetVersion, (int *))                                                                            \
  FUNCTION(error_name, cuGetErrorName, (CUresult, const char **))                                                                  \
  FUNCTION(error_string, cuGetErrorString, (CUresult, const char **))                                                              \
  FUNCTION(device_count, cuDeviceGetCount, (int *))                                                                                \
  FUNCTION(device_get, cuDeviceGet, (CUdevice *, int))                                                                             \
  FUNCTION(device_name, cuDeviceGetName, (char *, int, CUdevice))                                                                  \
  FUNCTION(device_attribute, cuDeviceGetAttribute, (int *, CUdevice_attribute, CUdevice))                                          \
  FUNCTION(device_memory, cuDeviceTotalMem_v2, (size_t *, CUdevice))                                                               \
  FUNCTION(context_retain, cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                                      \
  FUNCTION(context_set, cuCtxSetCurrent, (CUcontext))                                                                              \
  FUNCTION(stream_create, cuStreamCreate, (CUstream *, unsigned))                                                                  \
  FUNCTION(stream_wait, cuStreamSynchronize, (CUstream))                                                                           \
  FUNCTION(alloc, cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                                          \
  FUNCTION(free, cuMemFree_v2, (CUdeviceptr))                                                                                      \
  FUNCTION(upload, cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream))                                            \
  FUNCTION(download, cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream))                                                \
  FUNCTION(copy, cuMemcpyDtoDAsync_v2, (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                               \
  FUNCTION(module_load, cuModuleLoadData, (CUmodule *, const void *))                                                              \
  FUNCTION(module_function, cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                           \
  FUNCTION(launch, cuLaunchKernel,                                                                                                 \
           (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **))

typedef struct ms_cuda_driver {
#define FUNCTION(name, symbol, parameters) CUresult(*name) parameters;
  MS_CUDA_FUNCTIONS(FUNCTION)
#undef FUNCTION
} ms_cuda_driver;

enum { /* numbers of the interface; results of calls, attributes of devices, flags */
       MS_CUDA_OUT_OF_MEMORY = 2,
       MS_CUDA_NO_DEVICE = 100,
       MS_CUDA_NO_BINARY = 209,
       MS_CUDA_UNSUPPORTED_PTX = 222,
       MS_CUDA_PROCESSORS = 16,
       MS_CUDA_MAJOR = 75,
       MS_CUDA_MINOR = 76,
       MS_CUDA_STREAM_NON_BLOCKING = 1,
};
#define MS_CUDA_OLDEST                                                                                                             \
  12000 /* the oldest version of the interface that we know to work, as the driver says it: 1000 major + 10 minor */

/* The driver, opened and initialised; the same each time. NULL after ms_fail, which says what is missing. */
const ms_cuda_driver *ms_cuda_open_driver(void);

#endif
