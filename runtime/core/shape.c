/* shape.c -- what the rules of operations have in common when they check arguments and work out the shapes of results. */
#include "core.h"
#include <string.h>

int ms_out(ms_infer *s, int k, int dtype, int rank, const int64_t *shape) {
  ms_spec *o = &s->out[k];
  o->dtype = (uint8_t)dtype, o->rank = (uint8_t)rank, o->offset = 0;
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    o->shape[i] = shape[i], o->stride[i] = stride;
    if (shape[i] < 0) return ms_fail("%s: a result of negative size %lld", s->op->name, (long long)shape[i]), -1;
    if (__builtin_mul_overflow(stride, shape[i] ? shape[i] : 1, &stride))
      return ms_fail("%s: a result of %s elements is more than can be addressed", s->op->name, ms_sizes_str(rank, shape)), -1;
  }
  if (s->n_out <= k) s->n_out = k + 1;
  return 0;
}

int ms_out_like(ms_infer *s, int k, const ms_tensor *x) { return ms_out(s, k, x->dtype, x->rank, x->shape); }

int ms_dim(int64_t dim, int rank, const char *op) {
  int64_t d = dim < 0 ? dim + rank : dim;
  if (d < 0 || d >= rank)
    return ms_fail("%s: dimension %lld is out of range for a tensor of rank %d", op, (long long)(dim < 0 ? dim : dim + 1), rank),
           -1;
  return (int)d;
}

int ms_dims(ms_ints *v, int rank, const char *op) {
  bool in[MS_MAX_RANK] = {false};
  if (!rank && v->n == 1 && (v->at[0] == 0 || v->at[0] == -1)) v->n = 0; /* a scalar's one dimension, as PyTorch allows */
  if (v->n > rank) return ms_fail("%s: %d dimensions were named, the tensor has rank %d", op, v->n, rank), -1;
  for (int i = 0; i < (v->n < 0 ? rank : v->n); i++) {
    int d = v->n < 0 ? i : ms_dim(v->at[i], rank, op);
    if (d < 0) return -1;
    if (in[d]) return ms_fail("%s: dimension %d is named twice", op, d + 1), -1;
    in[d] = true;
  }
  v->n = 0;
  for (int i = 0; i < rank; i++)
    if (in[i]) v->at[v->n++] = i;
  return 0;
}

int ms_broadcast(const char *op, int n, ms_tensor *const *x, int *rank, int64_t *shape) {
  *rank = 0;
  for (int k = 0; k < n; k++)
    if (x[k]->rank > *rank) *rank = x[k]->rank;
  for (int i = 0; i < *rank; i++) {
    shape[i] = 1;
    for (int k = 0; k < n; k++) {
      int j = i - (*rank - x[k]->rank);
      if (j < 0 || x[k]->shape[j] == 1 || x[k]->shape[j] == shape[i]) continue;
      if (shape[i] != 1) {
        const ms_tensor *other = x[0];
        for (int m = 0; m < k; m++)
          if (x[m]->rank >= x[0]->rank && !x[m]->is_number) other = x[m];
        return ms_fail("%s: shapes %s and %s do not fit together (dimension %d: %lld against %lld)", op, ms_shape_str(other),
                       ms_shape_str(x[k]), i + 1, (long long)shape[i], (long long)x[k]->shape[j]),
               -1;
      }
      shape[i] = x[k]->shape[j];
    }
  }
  return 0;
}

int ms_pair(const char *op, const char *what, ms_ints *v, int64_t least) {
  if (v->n == 1) v->at[1] = v->at[0], v->n = 2;
  if (v->n != 2) return ms_fail("%s: %d numbers for %s, expected one or two (height, width)", op, v->n, what), -1;
  for (int i = 0; i < 2; i++) {
    if (v->at[i] < least)
      return ms_fail("%s: %s is %lld, expected %lld or more", op, what, (long long)v->at[i], (long long)least), -1;
    if (v->at[i] > INT32_MAX) return ms_fail("%s: %s is %lld, expected at most %d", op, what, (long long)v->at[i], INT32_MAX), -1;
  }
  return 0;
}
