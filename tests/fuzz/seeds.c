/* seeds.c -- a few small sound files of each format for the fuzzers to start from: seeds FOLDER makes FOLDER/idx, image,
 * mat, safetensors, npy, npz, csv. */
#include "data/data.h"
#include "io/io.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>

static char name[4096];

static const char *path(const char *folder, const char *kind, const char *file) {
  snprintf(name, sizeof name, "%s/%s", folder, kind);
  if (ms_mkdirs(name)) return name;
  snprintf(name, sizeof name, "%s/%s/%s", folder, kind, file);
  return name;
}

static void idx(const char *folder) {
  static int32_t ints[] = {1, -2, 3, 4};
  static double doubles[] = {1, -2, 3, 4};
  const struct {
    ms_array a;
    int type;
    const char *file;
  } all[] = {{{MS_U8, 3, {1, 2, 2}, 4, ints}, 0, "u8"},    {{MS_U8, 3, {1, 2, 2}, 4, ints}, 0, "u8.gz"},
             {{MS_I32, 1, {4}, 4, ints}, MS_IDX_I8, "i8"}, {{MS_I32, 1, {4}, 4, ints}, MS_IDX_I16, "i16"},
             {{MS_I32, 2, {4, 1}, 4, ints}, 0, "i32"},     {{MS_F32, 1, {4}, 4, ints}, 0, "f32"},
             {{MS_F64, 1, {4}, 4, doubles}, 0, "f64.gz"},  {{MS_U8, 2, {0, 9}, 0, ints}, 0, "none"}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) ms_idx_write(path(folder, "idx", all[i].file), &all[i].a, all[i].type);
}

typedef struct bytes {
  uint8_t at[1 << 16];
  int n;
} bytes;

static void append(void *to, void *data, int n) {
  bytes *b = to;
  if ((size_t)(b->n + n) > sizeof b->at) return;
  memcpy(b->at + b->n, data, (size_t)n);
  b->n += n;
}

/* The first byte of an input chooses how many channels are wanted. */
static void image(const char *folder) {
  for (int channels = 1; channels <= 4; channels++)
    for (int jpeg = 0; jpeg < 2; jpeg++) {
      bytes b = {.n = 1};
      ms_image *im = ms_image_new(19, 9, channels);
      for (int i = 0; i < 19 * 9 * channels; i++) im->pixels[i] = (uint8_t)(i * i / 3);
      if (jpeg) stbi_write_jpg_to_func(append, &b, 19, 9, channels, im->pixels, 40 + 15 * channels);
      else {
        size_t n;
        void *png = ms_png_encode(im, &n);
        append(&b, png, (int)n);
        free(png);
      }
      char file[32];
      snprintf(file, sizeof file, "%d.%s", channels, jpeg ? "jpg" : "png");
      ms_write_file(path(folder, "image", file), b.at, (size_t)b.n);
      ms_image_free(im);
    }
}

static void safetensors(const char *folder) {
  static const char data[64];
  const ms_st_entry e[] = {{"w", MS_F32, 2, {2, 2}, 16, data},
                           {"b", MS_BOOL, 1, {3}, 3, data},
                           {"s", MS_I64, 0, {0}, 8, data},
                           {"n", MS_F16, 2, {0, 2}, 0, data}};
  const ms_st_pair m[] = {{"k", "v"}};
  ms_safetensors_write(path(folder, "safetensors", "four"), 4, e, 1, m);
  ms_safetensors_write(path(folder, "safetensors", "none"), 0, NULL, 0, NULL);
}

/* The fixtures of the tests; the first byte chooses whether what is cut off is given in part. */
static void mat(const char *folder) {
  static const char *const names[] = {"numbers", "compressed", "nested", "big_endian", "other"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char from[64];
    size_t n;
    snprintf(from, sizeof from, "tests/data/mat/%s.mat", names[i]);
    char *bytes = ms_read_file(from, 1 << 16, &n);
    if (!bytes) return;
    memmove(bytes + 1, bytes, n); /* there is room for one more */
    bytes[0] = (char)(i & 1);
    ms_write_file(path(folder, "mat", names[i]), bytes, n + 1);
    free(bytes);
  }
}

/* NumPy's own files (tests/data/formats), when this runs at the top of the tree; and CSV. */
static void formats(const char *folder) {
  static const char *const files[] = {"stored.npz", "deflated.npz", "odd.npz", "f4.npy", "fortran.npy", "scalar.npy", "quoted.csv"};
  static const char csv[] = "a;b;c\n1;-2.5e3;x\n;nan;\"y;\"\"z\"\n";
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char from[64];
    size_t n;
    snprintf(from, sizeof from, "tests/data/formats/%s", files[i]);
    void *bytes = ms_read_file(from, 1 << 20, &n);
    if (bytes) ms_write_file(path(folder, strrchr(files[i], '.') + 1, files[i]), bytes, n);
    free(bytes);
  }
  ms_write_file(path(folder, "csv", "semicolons"), csv, sizeof csv - 1);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: seeds FOLDER\n"), 2;
  idx(argv[1]);
  image(argv[1]);
  safetensors(argv[1]);
  mat(argv[1]);
  formats(argv[1]);
  if (!ms_error()) return 0;
  fprintf(stderr, "%s\n", ms_error());
  return 1;
}
