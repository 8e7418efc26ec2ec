/* images.c -- in place of kernels/cuda/images.c: images that only libcuda.c of this folder understands. */
#include "cuda.h"

#define IMAGE(name) "emulated " #name,
const void *const ms_cuda_images[MS_CUDA_IMAGE_COUNT] = {MS_CUDA_IMAGES(IMAGE)};
const char ms_cuda_built_for[] = "the emulator";
