/* matmul_band.h -- the parts of matmul.c that look at elements. A template: the includer defines T (float, double) and G(name) (the
 * name for that type), and has included gemm.h with them. */

static inline const T *G(matrix)(const operand *s, int64_t batch) {
  return (const T *)s->data + ms_offset_in(s->n_batch, s->size, s->stride, batch);
}

/* The products of a batch one after the other, by a loop without packing. */
static void G(small_products)(const product *p, T *out) {
  for (int64_t b = 0; b < p->batch && !ms_interrupted(); b++) G(small_gemm)
  (p->m, p->n, p->k, G(matrix)(&p->a, b), p->a.row_stride, p->a.column_stride, G(matrix)(&p->b, b), p->b.row_stride,
   p->b.column_stride, out + b * p->m * p->n, p->n);
}

/* A band into `out`: the results, or the sums of all splits, one after the other. packed: the share whose right operand stays
 * packed in this thread's room, -1: none. */
static void G(compute_band)(const product *p, const band *s, T *out, T *room, int64_t *packed) {
  if (s->m <= 0 || s->n <= 0) return;
  const T *x = G(matrix)(&p->a, s->batch) + s->m0 * p->a.row_stride + s->k0 * p->a.column_stride;
  const T *y = G(matrix)(&p->b, s->batch) + s->k0 * p->b.row_stride + s->n0 * p->b.column_stride;
  out += (s->split * p->batch + s->batch) * p->m * p->n;
  T *to = p->turned ? room : out + s->m0 * p->n + s->n0;
  const int64_t step = p->turned ? round_up(s->n, 16) : p->n;
  /* behind the band that is to be turned; the same offset for all bands of a share */
  if (p->turned) room += round_up(div_up(div_up(p->m, p->shares_m), p->bands_m) * step, 16);
  const gemm_keep keep = !p->keep_packed ? GEMM_PASSING : *packed == s->share ? GEMM_KEPT : GEMM_KEEP;
  G(gemm)
  (false, p->way == WAY_DOTS, keep, p->depth, s->m, s->n, s->k, x, p->a.row_stride, p->a.column_stride, y, p->b.row_stride,
   p->b.column_stride, to, step, room);
  if (keep) *packed = s->share;
  if (p->turned) G(turn_to)(to, step, s->m, s->n, out + s->n0 * p->m + s->m0, p->m);
}

/* Elements of room that a thread wants: what gemm.h wants for the whole product is enough for a band; and a band to be turned. */
static int64_t G(room_for)(const product *p) {
  const G(left) l = G(left_of)(NULL, p->a.row_stride, p->a.column_stride, p->m, p->n);
  int64_t room = G(room_rows)(&l, p->k, p->depth);
  room += p->keep_packed ? packed_elements(p) : G(room_block)(p->n, p->k, p->depth);
  if (p->turned) room += (div_up(p->m, p->shares_m) + 16) * (div_up(p->n, p->shares_n) + PANEL_COLUMNS);
  return round_up(room, 16);
}
