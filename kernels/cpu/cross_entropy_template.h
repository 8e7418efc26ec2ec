/* cross_entropy_template.h -- the loops of cross_entropy.c. A template: the includer defines T (float, double) and G(name) (the
 * name for that type). */

/* What is known of a block of rows. */
typedef struct G(block) {
  T largest[BLOCK]; /* elements of the rows */
  T log_sum[BLOCK]; /* log of the sum of exp(x - largest) */
} G(block);

/* m <= BLOCK rows of at most FEW_CLASSES elements. Where r is not NULL, r = softmax(x) scale, with one number `scale` for each row.
 * The block is transposed, so that a vector holds the same class of all rows. */
static void G(block_of_few)(const T *x, int64_t m, int64_t classes, G(block) * of, T *r, const T *scale) {
  T e[FEW_CLASSES][BLOCK], sum[BLOCK] = {0}, *largest = of->largest;
  for (int k = 0; k < BLOCK; k++) largest[k] = (T)-INFINITY;
  for (int64_t j = 0; j < classes; j++) {
    for (int k = 0; k < BLOCK; k++) e[j][k] = x[(k < m ? k : 0) * classes + j];
    for (int k = 0; k < BLOCK; k++) largest[k] = e[j][k] > largest[k] || e[j][k] != e[j][k] ? e[j][k] : largest[k];
  }
  for (int64_t j = 0; j < classes; j++)
    for (int k = 0; k < BLOCK; k++) {
      e[j][k] = m_exp(e[j][k] - largest[k]);
      sum[k] += e[j][k];
    }
  for (int k = 0; k < BLOCK; k++) of->log_sum[k] = m_log(sum[k]);
  if (!r) return;
  for (int k = 0; k < BLOCK; k++) sum[k] = scale[k] / sum[k];
  for (int64_t j = 0; j < classes; j++)
    for (int k = 0; k < BLOCK; k++) e[j][k] *= sum[k];
  for (int k = 0; k < m; k++)
    for (int64_t j = 0; j < classes; j++) r[k * classes + j] = e[j][k];
}

/* The largest of n >= LANES elements. */
static inline T G(largest_of)(const T *x, int64_t n) {
  const int64_t whole = n / LANES * LANES;
  T lane[LANES];
  for (int k = 0; k < LANES; k++) lane[k] = x[k];
  for (int64_t i = LANES; i < whole; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
  for (int64_t i = whole; i < n; i++) lane[i - whole] = x[i] > lane[i - whole] ? x[i] : lane[i - whole];
  for (int w = LANES / 2; w; w /= 2)
    for (int k = 0; k < w; k++) lane[k] = lane[k + w] > lane[k] ? lane[k + w] : lane[k];
  return lane[0];
}

/* The sum of exp(x[i] - largest), n of them, which go to r where it is not NULL. */
static inline double G(sum_of_exp)(const T *x, int64_t n, T largest, T *r) {
  const int64_t whole = n / LANES * LANES;
  T lane[LANES] = {0};
  double total = 0;
  for (int64_t from = 0; from < whole; from += MS_CHUNK) { /* a lane adds up at most MS_CHUNK / LANES terms */
    const int64_t to = min_i64(from + MS_CHUNK, whole);
    for (int64_t i = from; i < to; i += LANES)
      for (int k = 0; k < LANES; k++) {
        const T e = m_exp(x[i + k] - largest);
        lane[k] += e;
        if (r) r[i + k] = e;
      }
    for (int k = 0; k < LANES; k++) total += (double)lane[k], lane[k] = 0;
  }
  for (int64_t i = whole; i < n; i++) {
    const T e = m_exp(x[i] - largest);
    total += (double)e;
    if (r) r[i] = e;
  }
  return total;
}

/* The same as block_of_few for more classes: row by row. */
static ALWAYS_INLINE void G(block_of_many)(const T *x, int64_t m, int64_t classes, G(block) * of, T *r, const T *scale) {
  for (int64_t row = 0; row < m; row++, x += classes) {
    const T largest = G(largest_of)(x, classes);
    T *to = r ? r + row * classes : NULL;
    const double sum = G(sum_of_exp)(x, classes, largest, to);
    of->largest[row] = largest, of->log_sum[row] = (T)log(sum);
    if (!r) continue;
    const T factor = (T)((double)scale[row] / sum);
    for (int64_t i = 0; i < classes; i++) to[i] *= factor;
  }
}

/* Without a result and with one: two functions, since the first has nothing to ask for each element. */
static NOINLINE void G(sums_of_many)(const T *x, int64_t m, int64_t classes, G(block) * of) {
  G(block_of_many)(x, m, classes, of, NULL, NULL);
}
static NOINLINE void G(softmax_of_many)(const T *x, int64_t m, int64_t classes, G(block) * of, T *r, const T *scale) {
  G(block_of_many)(x, m, classes, of, r, scale);
}

static inline void G(make_block)(const T *x, int64_t m, int64_t classes, G(block) * of, T *r, const T *scale) {
  if (classes <= FEW_CLASSES) G(block_of_few)(x, m, classes, of, r, scale);
  else if (r) G(softmax_of_many)(x, m, classes, of, r, scale);
  else G(sums_of_many)(x, m, classes, of);
}

static void G(cross_entropy)(ms_call *c) {
  const ms_view *label = &c->in[1];
  const int64_t rows = c->in[0].shape[0], classes = c->in[0].shape[1], blocks = div_up(rows, BLOCK), reduction = c->attr[0].i;
  const int groups = blocks < LOSS_GROUPS ? 1 : LOSS_GROUPS;
  double part[LOSS_GROUPS] = {0}, total = 0;
  T *o = c->out[0].data;
  MS_PARALLEL(ms_team(rows * classes * COST), g, groups, {
    for (int64_t b = blocks * g / groups; b < blocks * (g + 1) / groups; b++) {
      const int64_t first = b * BLOCK, m = min_i64(rows - first, BLOCK);
      const T *x = (const T *)c->in[0].data + first * classes;
      G(block) of;
      G(make_block)(x, m, classes, &of, NULL, NULL);
      for (int64_t k = 0; k < m; k++) {
        const T loss = of.log_sum[k] + (of.largest[k] - x[k * classes + label_of(label, first + k)]);
        part[g] += (double)loss;
        if (reduction == LOSS_NONE) o[first + k] = loss;
      }
    }
  });
  for (int g = 0; g < groups; g++) total += part[g];
  if (reduction != LOSS_NONE) *o = (T)reduced_loss(reduction, total, rows);
}

/* softmax(x) g, less g at the label: g is the gradient of the row's loss. */
static void G(cross_entropy_grad)(ms_call *c) {
  const ms_view *label = &c->in[2];
  const int64_t rows = c->in[1].shape[0], classes = c->in[1].shape[1], step = c->in[0].stride[0];
  MS_PARALLEL(ms_team(rows * classes * COST), b, div_up(rows, BLOCK), {
    const int64_t first = b * BLOCK, m = min_i64(rows - first, BLOCK);
    const T *g = (const T *)c->in[0].data + first * step;
    T *r = (T *)c->out[0].data + first * classes, scale[BLOCK];
    G(block) of;
    for (int64_t k = 0; k < BLOCK; k++) scale[k] = g[(k < m ? k : 0) * step];
    G(make_block)((const T *)c->in[1].data + first * classes, m, classes, &of, r, scale);
    for (int64_t k = 0; k < m; k++) r[k * classes + label_of(label, first + k)] -= scale[k];
  });
}

/* x: N x classes logarithms of probabilities, in any layout. */
static void G(nll)(ms_call *c) {
  const ms_view *x = &c->in[0], *label = &c->in[1];
  const int64_t reduction = c->attr[0].i;
  T *o = c->out[0].data;
  double total = 0;
  for (int64_t i = 0; i < x->shape[0]; i++) {
    const T loss = -((const T *)x->data)[i * x->stride[0] + label_of(label, i) * x->stride[1]];
    total += (double)loss;
    if (reduction == LOSS_NONE) o[i] = loss;
  }
  if (reduction != LOSS_NONE) *o = (T)reduced_loss(reduction, total, x->shape[0]);
}
