/* optim.c -- optimizer updates: all parameters in one region, of each a part for every thread. PyTorch's formulas (facts of
 * torch.optim). Without weight decay the parameter stays out of the gradient: 0 * infinity would be NaN. */
#include "cpu.h"
#include "../math.h"

enum { LINE = 64 }; /* elements that one thread updates at least */

/* Thread t of `team` updates elements from .. to-1 of the tensor at place `tensor`: of each its t-th part, since it has most likely
 * computed that part of the gradient and will read that part of the parameter, and lines that another thread wrote are slow to
 * read. Short tensors are one thread's, in turn. */
static void share(int tensor, int t, int team, int64_t size, int64_t *from, int64_t *to) {
  if (size < LINE * team) t = (t + tensor) % team;
  *from = size / LINE * t / team * LINE;
  *to = t == team - 1 ? size : size / LINE * (t + 1) / team * LINE;
}

/* Run what follows with `tensor` the place in the list, `from` the first element and `m` their number, for every parameter; before
 * the first, in every thread, START. An update costs about `cost` additions. */
#define PIECES(n, cost, START, ...)                                                                                                \
  {                                                                                                                                \
    int64_t total_ = 0;                                                                                                            \
    for (int i_ = 0; i_ < (n); i_++) total_ += ms_view_numel(&c->in[i_]);                                                          \
    const int threads_ = ms_team(total_ * (cost));                                                                                 \
    MS_PARALLEL(threads_, t_, threads_, {                                                                                          \
      int64_t from, to_;                                                                                                           \
      START;                                                                                                                       \
      for (int tensor = 0; tensor < (n); tensor++) {                                                                               \
        share(tensor, (int)t_, threads_, ms_view_numel(&c->in[tensor]), &from, &to_);                                              \
        const int64_t m = to_ - from;                                                                                              \
        if (m > 0) __VA_ARGS__                                                                                                     \
      }                                                                                                                            \
    });                                                                                                                            \
  }

#define AT(T, list) ((T *)c->in[(list)*n + tensor].data + from)

enum { COST_SGD = 4, COST_ADAM = 12 };

/* Count one update more of each parameter: the last list. Before the threads start: they read the counts. */
static void count(ms_call *c, int n) {
  for (int i = c->n_in - n; i < c->n_in; i++) *(double *)c->in[i].data += 1;
}

static inline double counted(const ms_call *c, int n, int tensor) { return *(const double *)c->in[c->n_in - n + tensor].data; }

#define SGD(T)                                                                                                                     \
  {                                                                                                                                \
    const T lr = (T)rate, mu = (T)momentum, keep = 1 - (T)dampening, wd = (T)decay;                                                \
    T *restrict p = AT(T, 0);                                                                                                      \
    const T *restrict g = AT(T, 1);                                                                                                \
    if (groups == 2) {                                                                                                             \
      for (int64_t i = 0; i < m; i++) p[i] -= lr * (plain ? g[i] : g[i] + wd * p[i]);                                              \
    } else {                                                                                                                       \
      const bool fresh = counted(c, n, tensor) == 1;                                                                               \
      T *restrict b = AT(T, 2);                                                                                                    \
      for (int64_t i = 0; i < m; i++) {                                                                                            \
        T d = plain ? g[i] : g[i] + wd * p[i];                                                                                     \
        b[i] = fresh ? d : mu * b[i] + keep * d;                                                                                   \
        p[i] -= lr * (nesterov ? d + mu * b[i] : b[i]);                                                                            \
      }                                                                                                                            \
    }                                                                                                                              \
  }

static int run_sgd(ms_call *c) {
  const int groups = (int)c->attr[0].i, n = c->n_in / groups;
  const double rate = ms_scalar_value(c->attr[1].s), momentum = ms_scalar_value(c->attr[2].s),
               dampening = ms_scalar_value(c->attr[3].s), decay = ms_scalar_value(c->attr[4].s);
  const bool nesterov = c->attr[5].i, plain = decay == 0;
  if (groups == 4) count(c, n);
  PIECES(n, COST_SGD, , {
    if (c->in[tensor].dtype == MS_F32) SGD(float)
    else SGD(double)
  })
  return 0;
}
MS_KERNEL(sgd_, .run = run_sgd);

/* p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps); decoupled: AdamW's decay p -= lr wd p first. */
#define ADAM(T)                                                                                                                    \
  {                                                                                                                                \
    const T b1 = (T)beta1, b2 = (T)beta2, c1 = (T)(1 - beta1), c2 = (T)(1 - beta2), e = (T)eps, wd = (T)decay,                     \
            shrink = (T)(1 - lr * decay), rate = (T)a.rate, root = (T)a.root;                                                      \
    T *restrict p = AT(T, 0);                                                                                                      \
    const T *restrict g = AT(T, 1);                                                                                                \
    T *restrict mo = AT(T, 2);                                                                                                     \
    T *restrict v = AT(T, 3);                                                                                                      \
    for (int64_t i = 0; i < m; i++) {                                                                                              \
      T d = plain ? g[i] : g[i] + wd * p[i];                                                                                       \
      T q = decoupled ? p[i] * shrink : p[i];                                                                                      \
      mo[i] = b1 * mo[i] + c1 * d;                                                                                                 \
      v[i] = b2 * v[i] + c2 * d * d;                                                                                               \
      p[i] = q - rate * mo[i] / (m_sqrt(v[i]) * root + e);                                                                         \
    }                                                                                                                              \
  }

typedef struct age { /* the correction after t updates */
  double t, rate, root;
} age;
static const age NEW = {-1, 0, 0};

static int run_adam(ms_call *c) {
  const int n = c->n_in / 5;
  const double lr = ms_scalar_value(c->attr[1].s), beta1 = ms_scalar_value(c->attr[2].s), beta2 = ms_scalar_value(c->attr[3].s),
               eps = ms_scalar_value(c->attr[4].s), decay = ms_scalar_value(c->attr[5].s);
  const bool decoupled = c->attr[6].i, plain = decoupled || decay == 0;
  count(c, n);
  PIECES(n, COST_ADAM, age a = NEW, {
    const double t = counted(c, n, tensor);
    if (t != a.t) a = (age){t, lr / (1 - pow(beta1, t)), 1 / sqrt(1 - pow(beta2, t))}; /* most parameters are of one age */
    if (c->in[tensor].dtype == MS_F32) ADAM(float)
    else ADAM(double)
  })
  return 0;
}
MS_KERNEL(adam_, .run = run_adam);
