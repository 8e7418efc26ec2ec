/* near.h -- the nearest so far, for knn.c. */
#ifndef MASCON_ML_NEAR_H
#define MASCON_ML_NEAR_H
#include <stdbool.h>
#include <stdint.h>

/* A row measured: ordered by distance, then by row. */
typedef struct neighbour {
  double far; /* squared, where distances are euclidean */
  int32_t row;
} neighbour;

static inline bool nearer(neighbour a, neighbour b) { return a.far < b.far || (a.far == b.far && a.row < b.row); }

/* Heaps with the farthest at the root. */
static inline void sink_near(neighbour *h, int64_t size, neighbour e) {
  int64_t at = 0;
  for (int64_t child; (child = 2 * at + 1) < size; at = child) {
    if (child + 1 < size && nearer(h[child], h[child + 1])) child++;
    if (!nearer(e, h[child])) break;
    h[at] = h[child];
  }
  h[at] = e;
}

static inline void push_near(neighbour *h, int64_t *size, int64_t k, neighbour e) {
  if (*size == k) {
    if (nearer(e, h[0])) sink_near(h, k, e);
    return;
  }
  int64_t at = (*size)++;
  for (; at > 0 && nearer(h[(at - 1) / 2], e); at = (at - 1) / 2) h[at] = h[(at - 1) / 2];
  h[at] = e;
}

static inline void push_score(float *h, int64_t *size, int64_t k, float e) {
  if (*size < k) {
    int64_t at = (*size)++;
    for (; at > 0 && h[(at - 1) / 2] < e; at = (at - 1) / 2) h[at] = h[(at - 1) / 2];
    h[at] = e;
    return;
  }
  if (e >= h[0]) return;
  int64_t at = 0;
  for (int64_t child; (child = 2 * at + 1) < k; at = child) {
    if (child + 1 < k && h[child] < h[child + 1]) child++;
    if (e >= h[child]) break;
    h[at] = h[child];
  }
  h[at] = e;
}

#endif
