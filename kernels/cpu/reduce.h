/* reduce.h -- the layout of a reduction: result k is made of the terms x[k, r]. The dimensions of x fall into two sets: k counts
 * through those that are kept, r through those that are reduced, both row-major.
 *
 * The strides decide which loop runs. Terms adjacent: the last reduced dimension is contiguous, a result is made of rows. Columns:
 * the last kept dimension is contiguous, results lie side by side and rows of x are combined element by element. Else: one result
 * after the other, element by element. */
#ifndef MS_REDUCE_H
#define MS_REDUCE_H
#include "sum_order.h"

/* Some dimensions of an operand. Those of size 1 are left out, those that continue one another in memory are merged. */
typedef struct dim_set {
  int rank;
  int64_t shape[MS_MAX_RANK], stride[MS_MAX_RANK];
  int64_t count; /* positions in all of them: the product of the sizes */
} dim_set;

typedef struct reduction {
  dim_set kept, reduced;
} reduction;

static inline void dim_set_add(dim_set *s, int64_t size, int64_t stride) {
  const int last = s->rank - 1;
  s->count *= size;
  if (size == 1) return;
  if (last >= 0 && s->stride[last] == stride * size) s->shape[last] *= size, s->stride[last] = stride;
  else s->shape[s->rank] = size, s->stride[s->rank++] = stride;
}

/* dims: the reduced dimensions, in rising order. */
static inline reduction make_reduction(const ms_view *x, const ms_ints *dims) {
  reduction p = {.kept.count = 1, .reduced.count = 1};
  for (int i = 0, k = 0; i < x->rank; i++) {
    const bool reduced = k < dims->n && dims->at[k] == i;
    k += reduced;
    dim_set_add(reduced ? &p.reduced : &p.kept, x->shape[i], x->stride[i]);
  }
  return p;
}

/* Where position `linear` in the first `rank` dimensions of the set lies, in elements. */
static inline int64_t outer_offset(const dim_set *s, int rank, int64_t linear) {
  int64_t offset = 0;
  for (int i = rank - 1; i >= 0; i--) {
    const int64_t q = linear / s->shape[i];
    offset += (linear - q * s->shape[i]) * s->stride[i];
    linear = q;
  }
  return offset;
}
static inline int64_t kept_offset(const reduction *p, int64_t k) { return outer_offset(&p->kept, p->kept.rank, k); }
static inline int64_t reduced_offset(const reduction *p, int64_t r) { return outer_offset(&p->reduced, p->reduced.rank, r); }

/* Columns: how many results lie side by side, and where row `row` of them begins. */
static inline int64_t columns_of(const reduction *p) { return p->kept.shape[p->kept.rank - 1]; }
static inline int64_t columns_offset(const reduction *p, int64_t row) { return outer_offset(&p->kept, p->kept.rank - 1, row); }

static inline bool is_columns(const reduction *p) {
  const dim_set *k = &p->kept, *r = &p->reduced;
  if (!k->rank || k->stride[k->rank - 1] != 1 || columns_of(p) < SUM_COLUMNS_LEAST) return false;
  return !(r->rank && r->stride[r->rank - 1] == 1);
}

static inline bool is_one_row(const reduction *p) { return p->reduced.rank == 1 && p->reduced.stride[0] == 1; }

/* Simple operations that the whole takes (ms_team). */
static inline int64_t reduction_work(const reduction *p) { return p->kept.count * p->reduced.count; }

enum { COLUMN_BLOCK = 512 }; /* columns that one thread works on at a time: what it keeps of them stays in L1 */

/* A template's function f for each dtype, as a table: MS_F16 and MS_BF16 have none. */
#define BY_DTYPE(f)                                                                                                                \
  { [MS_F32] = f##_f32, [MS_F64] = f##_f64, [MS_I64] = f##_i64, [MS_I32] = f##_i32, [MS_U8] = f##_u8, [MS_BOOL] = f##_u8 }

#endif
