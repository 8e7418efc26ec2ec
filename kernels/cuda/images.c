/* images.c -- the compiled .cu files, inside the module; MS_CUDA_FATBINS names the folder where nvcc has put them. */
#include "cuda.h"

#ifdef MS_CUDA_FATBINS
#define IMAGE(name)                                                                                                                \
  extern const char image_##name[];                                                                                                \
  __asm__(".pushsection .rodata\n.balign 64\nimage_" #name ":\n.incbin \"" MS_CUDA_FATBINS "/" #name ".fatbin\"\n.popsection");
MS_CUDA_IMAGES(IMAGE)
#undef IMAGE
#define IMAGE(name) image_##name,
#else
#define IMAGE(name) NULL,
#endif

const void *const ms_cuda_images[MS_CUDA_IMAGE_COUNT] = {MS_CUDA_IMAGES(IMAGE)};
const char ms_cuda_built_for[] = "sm_80, sm_90, sm_100 and what runs PTX of compute_80";
