/* optim_template.h -- the updates of optim.c. A template: the includer defines T (float, double) and G(name) (the name for that
 * type). Each updates n elements of one parameter p with its gradient g. What does not change from element to element is handed to
 * the loops as a constant, so that the compiler makes a loop without branches for each case and vectorises it. */

/* plain: without weight decay. */
static ALWAYS_INLINE T G(decayed)(T g, T p, T decay, bool plain) { return plain ? g : g + decay * p; }

/* ---- SGD --------------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void G(sgd_without_momentum)(const sgd_settings *s, int64_t n, T *restrict p, const T *restrict g,
                                                  bool plain) {
  const T lr = (T)s->lr, decay = (T)s->decay;
  for (int64_t i = 0; i < n; i++) p[i] -= lr * G(decayed)(g[i], p[i], decay, plain);
}

/* first: the momentum holds nothing yet. */
static ALWAYS_INLINE void G(sgd_with_momentum)(const sgd_settings *s, int64_t n, T *restrict p, const T *restrict g,
                                               T *restrict momentum, bool first, bool plain, bool nesterov) {
  const T lr = (T)s->lr, mu = (T)s->momentum, keep = 1 - (T)s->dampening, decay = (T)s->decay;
  for (int64_t i = 0; i < n; i++) {
    const T d = G(decayed)(g[i], p[i], decay, plain);
    momentum[i] = first ? d : mu * momentum[i] + keep * d;
    p[i] -= lr * (nesterov ? d + mu * momentum[i] : momentum[i]);
  }
}

static ALWAYS_INLINE void G(sgd_case)(const sgd_settings *s, int64_t n, T *p, const T *g, T *momentum, bool first, bool plain,
                                      bool nesterov) {
  if (first) G(sgd_with_momentum)(s, n, p, g, momentum, true, plain, nesterov);
  else G(sgd_with_momentum)(s, n, p, g, momentum, false, plain, nesterov);
}

/* momentum: NULL where the optimizer has none. */
static void G(sgd)(const sgd_settings *s, int64_t n, T *p, const T *g, T *momentum, bool first) {
  const bool plain = s->decay == 0;
  if (!momentum && plain) G(sgd_without_momentum)(s, n, p, g, true);
  else if (!momentum) G(sgd_without_momentum)(s, n, p, g, false);
  else if (plain && s->nesterov) G(sgd_case)(s, n, p, g, momentum, first, true, true);
  else if (plain) G(sgd_case)(s, n, p, g, momentum, first, true, false);
  else if (s->nesterov) G(sgd_case)(s, n, p, g, momentum, first, false, true);
  else G(sgd_case)(s, n, p, g, momentum, first, false, false);
}

/* ---- Adam -------------------------------------------------------------------------------------------------------- */

/* p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps), m and v the running means of g and g^2 (mean, square). Decoupled (AdamW): p
 * shrinks by the weight decay first, which otherwise is added to the gradient. */
static ALWAYS_INLINE void G(adam_case)(const adam_settings *s, const correction *a, int64_t n, T *restrict p, const T *restrict g,
                                       T *restrict mean, T *restrict square, bool plain, bool decoupled) {
  const T b1 = (T)s->beta1, b2 = (T)s->beta2, c1 = (T)(1 - s->beta1), c2 = (T)(1 - s->beta2);
  const T eps = (T)s->eps, decay = (T)s->decay, shrink = (T)(1 - s->lr * s->decay), rate = (T)a->rate, root = (T)a->root;
  for (int64_t i = 0; i < n; i++) {
    const T d = G(decayed)(g[i], p[i], decay, plain);
    const T q = decoupled ? p[i] * shrink : p[i];
    mean[i] = b1 * mean[i] + c1 * d;
    square[i] = b2 * square[i] + c2 * d * d;
    p[i] = q - rate * mean[i] / (m_sqrt(square[i]) * root + eps);
  }
}

static void G(adam)(const adam_settings *s, const correction *a, int64_t n, T *p, const T *g, T *mean, T *square) {
  if (s->decoupled) G(adam_case)(s, a, n, p, g, mean, square, true, true);
  else if (s->decay == 0) G(adam_case)(s, a, n, p, g, mean, square, true, false);
  else G(adam_case)(s, a, n, p, g, mean, square, false, false);
}
