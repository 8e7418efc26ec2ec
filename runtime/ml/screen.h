/* screen.h -- scores of training rows from products of bytes, for knn.c: four times as fast as those of f32, and less exact. */
#ifndef MASCON_ML_SCREEN_H
#define MASCON_ML_SCREEN_H
#include "ml/internal.h"

enum { SCREEN_QUERIES = 12, SCREEN_ROWS = 32 }; /* of a micro-tile */

/* Training rows in bytes. Values are moved by `shift`, one number for all, then y = low + step * (0..255), but for an error. */
typedef struct ml_screen ml_screen;

/* NULL, without a message: this processor cannot, the values do not lend themselves, or there is no memory; then go without. mean:
 * of each of d features. padded: n up to a multiple of SCREEN_ROWS; tile: rows to which one bound belongs, a multiple of it. */
ml_screen *ml_screen_open(int64_t n, int64_t padded, int64_t d, const float *x, const float *mean, int64_t tile);
void ml_screen_close(ml_screen *s);
/* Bytes that a query is packed into. */
int64_t ml_screen_bytes(const ml_screen *s);

/* What is known of a query q, moved as the rows are. */
typedef struct ml_screened {
  double norm;                    /* |q|^2; score + norm is the squared distance */
  double away, off, size;         /* |q - mean|, |q - its bytes' value|, the size of what is rounded in a score */
  double length;                  /* of its bytes' value */
  float sums, constant, products; /* score = base + sums * (sum of the row) + constant + products * (product of bytes) */
} ml_screened;

/* Pack `rows` queries, `tall` with rows of zeros, a multiple of SCREEN_QUERIES. */
void ml_screen_pack(const ml_screen *s, const float *q, int64_t rows, int64_t tall, int8_t *packed, ml_screened *about);
/* Scores of the training rows first .. first + wide - 1 of one tile for `tall` queries: ld apart. */
void ml_screen_scores(const ml_screen *s, int64_t first, int64_t wide, int64_t tall, const int8_t *packed, const ml_screened *about,
                      float *score, int64_t ld);
/* How far the scores of tile t may be from the truth. */
double ml_screen_error(const ml_screen *s, int64_t t, const ml_screened *q);

#endif
