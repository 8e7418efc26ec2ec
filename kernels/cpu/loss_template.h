/* loss_template.h -- the loops of loss.c. A template: the includer defines T (float, double) and G(name) (the name for that type).
 * x: predictions, t: targets. */

/* log(1 - x) and log(1 + exp(x)): what rounding took from w = 1 - x (1 + e) is added afterwards. Its weight there would be 1 / (1 -
 * x); it is left out, because it matters by less than half an ulp: nothing is lost from x = 1/2 on. */
static inline T G(log_less)(T x) {
  const T w = 1 - x;
  return m_log(w) + ((1 - w) - x);
}
static inline T G(softplus)(T x) {
  const T e = m_exp(x > 0 ? -x : x), w = 1 + e;
  return (x > 0 ? x : 0) + (m_log(w) + (e - (w - 1)));
}
static inline T G(bounded)(T log) { return log < -100 ? -100 : log; }

/* ---- the losses of n elements ------------------------------------------------------------------------------------ */

static void G(mse)(int64_t n, const T *x, const T *t, T *o) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) o[i] = (x[i] - t[i]) * (x[i] - t[i]);
}

static void G(bce)(int64_t n, const T *x, const T *t, T *o) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const T p = x[i], q = t[i];
    o[i] = -(q * G(bounded)(m_log(p)) + (1 - q) * G(bounded)(G(log_less)(p)));
  }
}

static void G(bce_logits)(int64_t n, const T *x, const T *t, T *o) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; i++) {
    const T logit = x[i], q = t[i];
    o[i] = G(softplus)(logit) - q * logit;
  }
}

/* ---- probabilities: bce takes x and t from 0 to 1, and no NaN ---------------------------------------------------- */

/* A pass of its own over what the loss has just read: it costs two compares beside two logarithms. */
static bool G(are_probabilities)(int64_t n, const T *x, const T *t) {
  int outside = 0;
  for (int64_t i = 0; i < n; i++) outside |= !(x[i] >= 0) | !(x[i] <= 1) | !(t[i] >= 0) | !(t[i] <= 1);
  return !outside;
}

/* -1, after ms_fail with the first element that is no probability. */
static int G(fail_improbable)(const char *op, int64_t n, const T *x, const T *t) {
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < 2; k++) {
      const double v = (double)(k ? t[i] : x[i]);
      if (!(v >= 0 && v <= 1))
        return ms_fail("%s: element %lld of %s is %g, expected 0..1", op, (long long)i + 1, k ? "target" : "x", v), -1;
    }
  return 0;
}

/* ---- a whole call ------------------------------------------------------------------------------------------------ */

typedef struct G(loss) {
  void (*each)(int64_t n, const T *x, const T *t, T *o); /* the losses of n elements */
  bool (*takes)(int64_t n, const T *x, const T *t);      /* may they be operands? NULL: all may */
  int cost;                                              /* simple operations that an element takes */
} G(loss);

/* The sum over n elements, strip by strip. *taken: false if some elements may not be operands. */
static double G(total)(const G(loss) * l, const T *x, const T *t, int64_t n, bool *taken) {
  const int64_t chunks = div_up(n, MS_CHUNK);
  const int groups = chunks < LONG_CHUNKS ? 1 : LOSS_GROUPS;
  double part[LOSS_GROUPS] = {0}, total = 0;
  bool refused[LOSS_GROUPS] = {false};
  MS_PARALLEL(ms_team(n * l->cost), g, groups, {
    T strip[STRIP];
    const int64_t end = min_i64(chunks * (g + 1) / groups * MS_CHUNK, n);
    for (int64_t i = chunks * g / groups * MS_CHUNK; i < end; i += STRIP) {
      const int64_t m = min_i64(end - i, STRIP);
      l->each(m, x + i, t + i, strip);
      part[g] += G(sum_piece)(strip, m);
      if (l->takes && !l->takes(m, x + i, t + i)) refused[g] = true;
    }
  });
  *taken = true;
  for (int g = 0; g < groups; g++) total += part[g], *taken &= !refused[g];
  return total;
}

static int G(run_loss)(ms_call *c, const G(loss) * l) {
  const T *x = c->in[0].data, *t = c->in[1].data;
  T *o = c->out[0].data;
  const int64_t n = ms_view_numel(&c->in[0]), reduction = c->attr[0].i;
  if (reduction != LOSS_NONE) {
    bool taken;
    const double total = G(total)(l, x, t, n, &taken);
    *o = (T)reduced_loss(reduction, total, n);
    return taken ? 0 : G(fail_improbable)(c->op->name, n, x, t);
  }
  if (l->takes && !l->takes(n, x, t)) return G(fail_improbable)(c->op->name, n, x, t);
  MS_PARALLEL(ms_team(n * l->cost), k, div_up(n, MS_CHUNK), {
    const int64_t i = k * MS_CHUNK;
    l->each(min_i64(n - i, MS_CHUNK), x + i, t + i, o + i);
  });
  return 0;
}

static int G(run_mse)(ms_call *c) { return G(run_loss)(c, &(G(loss)){G(mse), NULL, COST_MSE}); }
static int G(run_bce)(ms_call *c) { return G(run_loss)(c, &(G(loss)){G(bce), G(are_probabilities), COST_BCE}); }
static int G(run_bce_logits)(ms_call *c) { return G(run_loss)(c, &(G(loss)){G(bce_logits), NULL, COST_BCE}); }
