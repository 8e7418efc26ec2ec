/* norm_template.h -- the loops of norm.c. A template: the includer defines T (float, double) and G(name) (the name for that type),
 * and what is shared by all types. x, y, grad point at a task's first element; pieces are numbered within a task. */

/* ---- forward ------------------------------------------------------------------------------------------------------------- */

/* Mean and squared deviations of piece p of a plane's channel. Gives how many elements it has. */
static double G(moments_of_runs)(const norm_shape *s, const T *x, int64_t p, double *mean, double *squares) {
  const runs piece = runs_of(s, p);
  const double count = (double)(piece.count * piece.length);
  const int64_t sample = min_i64(piece.length, SAMPLE);
  const int64_t sampled_runs = sample * piece.count < SAMPLE ? piece.count : div_up(SAMPLE, sample);
  x += piece.first;
  const double sampled = G(sums)(SUM_VALUES, x, x, 0, sampled_runs, piece.step, sample, NULL);
  const T near = (T)(sampled / (double)(sampled_runs * sample)); /* a value near the mean */
  double squares_from_near;
  const double sum_from_near = G(sums)(SUM_MOMENTS, x, x, near, piece.count, piece.step, piece.length, &squares_from_near);
  const double d = sum_from_near / count;
  *mean = (double)near + d;
  *squares = not_negative(squares_from_near - count * d * d);
  return count;
}

/* The same of `columns` channels side by side. */
static double G(moments_of_rows)(const norm_shape *s, int64_t columns, const T *x, int64_t p, double *mean, double *squares) {
  T sum[COLUMNS] = {0}, square[COLUMNS] = {0}, near[COLUMNS] = {0};
  const int64_t stride = s->channels;
  int64_t r, end;
  rows_of(s, p, &r, &end);
  const int64_t sample = min_i64(end - r, SAMPLE_ROWS);
  const double count = (double)(end - r);
  for (int64_t i = r; i < r + sample; i++)
    for (int64_t j = 0; j < columns; j++) near[j] += x[i * stride + j];
  for (int64_t j = 0; j < columns; j++) near[j] *= 1 / (T)sample;
  for (; r + 4 <= end; r += 4) {
    const T *x0 = x + r * stride, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    for (int64_t j = 0; j < columns; j++) {
      T d0 = x0[j] - near[j], d1 = x1[j] - near[j], d2 = x2[j] - near[j], d3 = x3[j] - near[j];
      sum[j] += (d0 + d1) + (d2 + d3);
      square[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; r < end; r++)
    for (int64_t j = 0; j < columns; j++) {
      T d = x[r * stride + j] - near[j];
      sum[j] += d, square[j] += d * d;
    }
  const double share = 1 / count;
  for (int64_t j = 0; j < columns; j++) {
    double d = (double)sum[j] * share;
    mean[j] = (double)near[j] + d;
    squares[j] = not_negative((double)square[j] - (double)sum[j] * d);
  }
  return count;
}

/* Mean and squared deviations of pieces `from` up to `to` of a task. Gives how many elements of each channel they have. */
static double G(moments_of_pieces)(const norm_shape *s, const task *t, const T *x, int64_t from, int64_t to, moments *m) {
  double total = 0;
  for (int64_t j = 0; j < t->channels; j++) m->mean[j] = m->squares[j] = 0;
  for (int64_t p = from; p < to; p++) {
    double mean[COLUMNS], squares[COLUMNS];
    const double count =
        s->after > 1 ? G(moments_of_runs)(s, x, p, mean, squares) : G(moments_of_rows)(s, t->channels, x, p, mean, squares);
    add_moments(m, total, count, mean, squares, t->channels);
    total += count;
  }
  return total;
}

/* By channel of a task: y = (x - shift) scale + offset. */
typedef struct G(forward_terms) {
  T shift[COLUMNS], scale[COLUMNS], offset[COLUMNS];
} G(forward_terms);

/* From the moments of a task: its mean and rstd, which are results, and the terms of y. */
static void G(finish_forward)(const job *q, const task *t, const moments *m, G(forward_terms) * f) {
  const T *weight = q->weight, *bias = q->bias;
  T *restrict mean = (T *)q->mean + t->channel, *restrict rstd = (T *)q->rstd + t->channel;
  const double count = (double)q->shape->channel_size, eps = q->eps;
  const int64_t n = t->channels;
  for (int64_t j = 0; j < n; j++) {
    T r = (T)(1 / sqrt(m->squares[j] / count + eps));
    f->shift[j] = mean[j] = (T)m->mean[j], rstd[j] = r, f->scale[j] = r;
  }
  if (!q->shape->channel_size)
    for (int64_t j = 0; j < n; j++) mean[j] = (T)NAN;
  for (int64_t j = 0; weight && j < n; j++) f->scale[j] *= weight[t->channel + j];
  /* The shift is the mean rounded to T; what the rounding took off goes into the offset. */
  for (int64_t j = 0; j < n; j++)
    f->offset[j] = (bias ? bias[t->channel + j] : 0) - (T)(m->mean[j] - (double)f->shift[j]) * f->scale[j];
}

/* y for pieces `from` up to `to` of a plane's channel. */
static void G(write_runs)(const norm_shape *s, const T *x, T *y, int64_t from, int64_t to, const G(forward_terms) * f) {
  const T shift = f->shift[0], scale = f->scale[0], offset = f->offset[0];
  for (int64_t p = from; p < to; p++) {
    const runs piece = runs_of(s, p);
    for (int64_t r = 0; r < piece.count; r++) {
      const T *in = x + piece.first + r * piece.step;
      T *out = y + piece.first + r * piece.step;
#pragma GCC ivdep
      for (int64_t i = 0; i < piece.length; i++) out[i] = (in[i] - shift) * scale + offset;
    }
  }
}

/* The same for `columns` channels side by side. */
static void G(write_rows)(const norm_shape *s, int64_t columns, const T *x, T *y, int64_t from, int64_t to,
                          const G(forward_terms) * f) {
  for (int64_t p = from; p < to; p++) {
    int64_t r, end;
    rows_of(s, p, &r, &end);
    for (; r < end; r++) {
      const T *in = x + r * s->channels;
      T *out = y + r * s->channels;
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; j++) out[j] = (in[j] - f->shift[j]) * f->scale[j] + f->offset[j];
    }
  }
}

/* Never inlined: the loops would run short of registers where a task is done as a whole. */
static __attribute__((noinline)) void G(write_pieces)(const norm_shape *s, const task *t, const T *x, T *y, int64_t from,
                                                      int64_t to, const G(forward_terms) * f) {
  if (s->after > 1) G(write_runs)(s, x, y, from, to, f);
  else G(write_rows)(s, t->channels, x, y, from, to, f);
}

/* Every task whole, by one thread. */
static void G(forward_tasks)(const job *q, int team) {
  const norm_shape *s = q->shape;
  const T *x = q->x;
  T *y = q->y;
  MS_PARALLEL(team, k, s->tasks, {
    const task t = task_of(s, k);
    moments m;
    G(forward_terms) f;
    G(moments_of_pieces)(s, &t, x + t.first, 0, s->pieces, &m);
    G(finish_forward)(q, &t, &m, &f);
    G(write_pieces)(s, &t, x + t.first, y + t.first, 0, s->pieces, &f);
  });
}

/* Every task in PARTS parts: the moments of all parts, their sum for every task, then the results of all parts. */
static void G(forward_parts)(const job *q, int team) {
  const norm_shape *s = q->shape;
  const T *x = q->x;
  T *y = q->y;
  moments *part = q->work;
  double *count = (double *)(part + s->tasks * PARTS); /* elements of a channel in a part */
  MS_PARALLEL(team, k, s->tasks * PARTS, {
    const task t = task_of(s, k / PARTS);
    count[k] = G(moments_of_pieces)(s, &t, x + t.first, part_begin(s, k % PARTS), part_begin(s, k % PARTS + 1), &part[k]);
  });
  for (int64_t k = 0; k < s->tasks; k++) add_parts_of_moments(&part[k * PARTS], &count[k * PARTS], task_of(s, k).channels);
  MS_PARALLEL(team, k, s->tasks * PARTS, {
    const task t = task_of(s, k / PARTS);
    G(forward_terms) f;
    G(finish_forward)(q, &t, &part[k / PARTS * PARTS], &f);
    G(write_pieces)(s, &t, x + t.first, y + t.first, part_begin(s, k % PARTS), part_begin(s, k % PARTS + 1), &f);
  });
}

static void G(forward)(const job *q) {
  const norm_shape *s = q->shape;
  const int team = ms_team(s->outer * s->channels * s->channel_size * 3);
  if (s->parts == 1) G(forward_tasks)(q, team);
  else G(forward_parts)(q, team);
}

/* ---- the derivative ------------------------------------------------------------------------------------------------------ */

/* By channel of a task: dx = grad scale - offset - (x - shift) slope. */
typedef struct G(backward_terms) {
  T shift[COLUMNS], scale[COLUMNS], offset[COLUMNS], slope[COLUMNS];
} G(backward_terms);

/* The mean, where x is given; 0 where x is normalised already. */
static void G(find_shift)(const job *q, const task *t, T *shift) {
  for (int64_t j = 0; j < t->channels; j++) shift[j] = q->in_mean ? ((const T *)q->in_mean)[t->channel + j] : 0;
}

/* Add up grad and grad (x - shift) over piece p, of `columns` channels side by side. */
static void G(sum_rows)(const norm_shape *s, int64_t columns, const T *grad, const T *x, int64_t p, const T *shift,
                        gradient_sums *sums) {
  T sum[COLUMNS] = {0}, product[COLUMNS] = {0};
  const int64_t stride = s->channels;
  int64_t r, end;
  rows_of(s, p, &r, &end);
  for (; r + 2 <= end; r += 2) {
    const T *g0 = grad + r * stride, *g1 = g0 + stride, *x0 = x + r * stride, *x1 = x0 + stride;
    for (int64_t j = 0; j < columns; j++) {
      sum[j] += g0[j] + g1[j];
      product[j] += g0[j] * (x0[j] - shift[j]) + g1[j] * (x1[j] - shift[j]);
    }
  }
  for (; r < end; r++)
    for (int64_t j = 0; j < columns; j++) {
      sum[j] += grad[r * stride + j];
      product[j] += grad[r * stride + j] * (x[r * stride + j] - shift[j]);
    }
  for (int64_t j = 0; j < columns; j++) sums->grad[j] += (double)sum[j], sums->product[j] += (double)product[j];
}

/* The same over piece p of a plane's channel. */
static void G(sum_runs)(const norm_shape *s, const T *grad, const T *x, int64_t p, const T *shift, gradient_sums *sums) {
  const runs piece = runs_of(s, p);
  const T *g = grad + piece.first, *in = x + piece.first;
  double product;
  sums->grad[0] += G(sums)(SUM_PRODUCTS, g, in, *shift, piece.count, piece.step, piece.length, &product);
  sums->product[0] += product;
}

/* Sums of grad and of grad (x - shift) over pieces `from` up to `to` of a task. */
static void G(sum_pieces)(const norm_shape *s, const task *t, const T *grad, const T *x, int64_t from, int64_t to, const T *shift,
                          gradient_sums *sums) {
  for (int64_t j = 0; j < t->channels; j++) sums->grad[j] = sums->product[j] = 0;
  for (int64_t p = from; p < to; p++)
    if (s->after > 1) G(sum_runs)(s, grad, x, p, shift, sums);
    else G(sum_rows)(s, t->channels, grad, x, p, shift, sums);
}

/* With h = (x - mean) s the normalised value, s = rstd where x is given and 1 where h itself is:
 * dx = rstd weight (grad - mean(grad) - h mean(grad h)), dweight = sum(grad h), dbias = sum(grad). */
static void G(finish_backward)(const job *q, const task *t, const gradient_sums *sums, G(backward_terms) * b) {
  const T *rstd = (const T *)q->in_rstd + t->channel, *weight = q->weight;
  T *restrict dweight = q->dweight, *restrict dbias = q->dbias;
  const double share = 1 / (double)q->shape->channel_size;
  const bool normalised = !q->in_mean;
  const int64_t n = t->channels;
  for (int64_t j = 0; j < n; j++) b->scale[j] = weight ? rstd[j] * weight[t->channel + j] : rstd[j];
  for (int64_t j = 0; j < n; j++) {
    double s = normalised ? 1 : (double)rstd[j];
    b->offset[j] = (T)((double)b->scale[j] * sums->grad[j] * share);
    b->slope[j] = (T)((double)b->scale[j] * s * s * sums->product[j] * share);
  }
  for (int64_t j = 0; dweight && j < n; j++) {
    dweight[t->channel + j] = (T)(sums->product[j] * (double)rstd[j]);
    dbias[t->channel + j] = (T)sums->grad[j];
  }
}

/* dx for pieces `from` up to `to` of a plane's channel. */
static void G(write_grad_runs)(const norm_shape *s, const T *grad, const T *x, T *dx, int64_t from, int64_t to,
                               const G(backward_terms) * b) {
  const T shift = b->shift[0], scale = b->scale[0], offset = b->offset[0], slope = b->slope[0];
  for (int64_t p = from; p < to; p++) {
    const runs piece = runs_of(s, p);
    for (int64_t r = 0; r < piece.count; r++) {
      const T *in = x + piece.first + r * piece.step, *g = grad + piece.first + r * piece.step;
      T *out = dx + piece.first + r * piece.step;
#pragma GCC ivdep
      for (int64_t i = 0; i < piece.length; i++) out[i] = g[i] * scale - offset - (in[i] - shift) * slope;
    }
  }
}

/* The same for `columns` channels side by side. */
static void G(write_grad_rows)(const norm_shape *s, int64_t columns, const T *grad, const T *x, T *dx, int64_t from, int64_t to,
                               const G(backward_terms) * b) {
  for (int64_t p = from; p < to; p++) {
    int64_t r, end;
    rows_of(s, p, &r, &end);
    for (; r < end; r++) {
      const T *in = x + r * s->channels, *g = grad + r * s->channels;
      T *out = dx + r * s->channels;
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; j++) out[j] = g[j] * b->scale[j] - b->offset[j] - (in[j] - b->shift[j]) * b->slope[j];
    }
  }
}

static __attribute__((noinline)) void G(write_grad_pieces)(const norm_shape *s, const task *t, const T *grad, const T *x, T *dx,
                                                           int64_t from, int64_t to, const G(backward_terms) * b) {
  if (s->after > 1) G(write_grad_runs)(s, grad, x, dx, from, to, b);
  else G(write_grad_rows)(s, t->channels, grad, x, dx, from, to, b);
}

/* Every task whole, by one thread. */
static void G(backward_tasks)(const job *q, int team) {
  const norm_shape *s = q->shape;
  const T *x = q->x, *grad = q->grad;
  T *dx = q->y;
  MS_PARALLEL(team, k, s->tasks, {
    const task t = task_of(s, k);
    gradient_sums sums;
    G(backward_terms) b;
    G(find_shift)(q, &t, b.shift);
    G(sum_pieces)(s, &t, grad + t.first, x + t.first, 0, s->pieces, b.shift, &sums);
    G(finish_backward)(q, &t, &sums, &b);
    G(write_grad_pieces)(s, &t, grad + t.first, x + t.first, dx + t.first, 0, s->pieces, &b);
  });
}

/* Every task in PARTS parts. */
static void G(backward_parts)(const job *q, int team) {
  const norm_shape *s = q->shape;
  const T *x = q->x, *grad = q->grad;
  T *dx = q->y;
  gradient_sums *part = q->work;
  MS_PARALLEL(team, k, s->tasks * PARTS, {
    const task t = task_of(s, k / PARTS);
    const int64_t from = part_begin(s, k % PARTS), to = part_begin(s, k % PARTS + 1);
    T shift[COLUMNS];
    G(find_shift)(q, &t, shift);
    G(sum_pieces)(s, &t, grad + t.first, x + t.first, from, to, shift, &part[k]);
  });
  for (int64_t k = 0; k < s->tasks; k++) add_parts_of_sums(&part[k * PARTS], task_of(s, k).channels);
  MS_PARALLEL(team, k, s->tasks * PARTS, {
    const task t = task_of(s, k / PARTS);
    const int64_t from = part_begin(s, k % PARTS), to = part_begin(s, k % PARTS + 1);
    G(backward_terms) b;
    G(find_shift)(q, &t, b.shift);
    G(finish_backward)(q, &t, &part[k / PARTS * PARTS], &b);
    G(write_grad_pieces)(s, &t, grad + t.first, x + t.first, dx + t.first, from, to, &b);
  });
}

static void G(backward)(const job *q) {
  const norm_shape *s = q->shape;
  const int team = ms_team(s->outer * s->channels * s->channel_size * 4);
  if (s->parts == 1) G(backward_tasks)(q, team);
  else G(backward_parts)(q, team);
}
