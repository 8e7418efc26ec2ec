/* distance_template.h -- the distances that decide in knn.c. A template: the includer defines G(name) (the name for an instruction
 * set), TARGET (the attribute that chooses it, or nothing) and VECTOR (doubles in a register, at most 8).
 *
 * Only for instruction sets without fused multiply-add: then the bits are the same on every machine, since there are always eight
 * sums, which are added in the same order. */

/* |a - b|^2 of d elements, in f64. */
TARGET static double G(distance)(const float *a, const float *b, int64_t d) {
  typedef float narrow __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));
  typedef double vec __attribute__((vector_size(VECTOR * sizeof(double))));
  vec sum[8 / VECTOR];
#pragma GCC unroll 4
  for (int v = 0; v < 8 / VECTOR; v++) sum[v] = (vec){0};
  int64_t j = 0;
  for (; j + 8 <= d; j += 8)
#pragma GCC unroll 4
    for (int v = 0; v < 8 / VECTOR; v++) {
      const vec difference = __builtin_convertvector(*(const narrow *)(a + j + v * VECTOR), vec) -
                             __builtin_convertvector(*(const narrow *)(b + j + v * VECTOR), vec);
      sum[v] += difference * difference;
    }
  double s[8];
  memcpy(s, sum, sizeof s);
  double total = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  for (; j < d; j++) {
    const double difference = (double)a[j] - (double)b[j];
    total += difference * difference;
  }
  return total;
}

/* The sum of |a - b| over d elements, in f64; where it is more than `most`, a part of it that is more than `most` may do. */
TARGET static double G(manhattan)(const float *a, const float *b, int64_t d, double most) {
  typedef float narrow __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));
  typedef double vec __attribute__((vector_size(VECTOR * sizeof(double))));
  typedef int64_t bits __attribute__((vector_size(VECTOR * sizeof(double))));
  vec sum[8 / VECTOR];
#pragma GCC unroll 4
  for (int v = 0; v < 8 / VECTOR; v++) sum[v] = (vec){0};
  double s[8], total = 0;
  int64_t j = 0;
  for (bool more = d >= 8; more;) {
    const int64_t end = d - j < 72 ? d : j + 64;
    for (; j + 8 <= end; j += 8)
#pragma GCC unroll 4
      for (int v = 0; v < 8 / VECTOR; v++) {
        const vec difference = __builtin_convertvector(*(const narrow *)(a + j + v * VECTOR), vec) -
                               __builtin_convertvector(*(const narrow *)(b + j + v * VECTOR), vec);
        sum[v] += (vec)((bits)difference & INT64_MAX); /* without its sign */
      }
    memcpy(s, sum, sizeof s);
    total = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    more = total <= most && j + 8 <= d;
  }
  for (; j < d && total <= most; j++) total += fabs((double)a[j] - (double)b[j]);
  return total;
}
