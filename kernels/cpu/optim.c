/* optim.c -- optimizer updates: all parameters in one region, of each a part for every thread. PyTorch's formulas (facts of
 * torch.optim). */
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

/* Run BODY with `tensor` the place in the list, `from` the first element and `m` their number, for every tensor of the first list.
 * An update costs about `cost` additions. */
#define PIECES(first, n, cost, BODY)                                                                                               \
  {                                                                                                                                \
    int64_t total_ = 0;                                                                                                            \
    for (int i_ = 0; i_ < (n); i_++) total_ += ms_view_numel(&c->in[(first) + i_]);                                                \
    const int threads_ = ms_team(total_ * (cost));                                                                                 \
    MS_PARALLEL(threads_, t_, threads_, {                                                                                          \
      int64_t from, to_;                                                                                                           \
      for (int tensor = 0; tensor < (n); tensor++) {                                                                               \
        share(tensor, (int)t_, threads_, ms_view_numel(&c->in[(first) + tensor]), &from, &to_);                                    \
        const int64_t m = to_ - from;                                                                                              \
        if (m > 0) BODY                                                                                                            \
      }                                                                                                                            \
    });                                                                                                                            \
  }

#define AT(T, list) ((T *)c->in[first + (list)*n + tensor].data + from)

enum { COST_SGD = 4, COST_ADAM = 12 };

#define SGD(T)                                                                                                                     \
  {                                                                                                                                \
    const T lr = (T)ms_scalar_value(c->attr[1].s), mu = (T)ms_scalar_value(c->attr[2].s),                                          \
            keep = 1 - (T)ms_scalar_value(c->attr[3].s), wd = (T)ms_scalar_value(c->attr[4].s);                                    \
    PIECES(first, n, COST_SGD, {                                                                                                   \
      T *restrict p = AT(T, 0);                                                                                                    \
      const T *restrict g = AT(T, 1);                                                                                              \
      if (groups == 2) {                                                                                                           \
        for (int64_t i = 0; i < m; i++) p[i] -= lr * (g[i] + wd * p[i]);                                                           \
      } else {                                                                                                                     \
        T *restrict b = AT(T, 2);                                                                                                  \
        for (int64_t i = 0; i < m; i++) {                                                                                          \
          T d = g[i] + wd * p[i];                                                                                                  \
          b[i] = fresh ? d : mu * b[i] + keep * d;                                                                                 \
          p[i] -= lr * (nesterov ? d + mu * b[i] : b[i]);                                                                          \
        }                                                                                                                          \
      }                                                                                                                            \
    })                                                                                                                             \
  }

static int run_sgd(ms_call *c) {
  int groups = (int)c->attr[0].i, first = 0, n = c->n_in / groups;
  bool nesterov = c->attr[5].i, fresh = c->attr[6].i;
  if (!n) return 0;
  MS_SWITCH_FLOAT(c->in[0].dtype, "sgd_", SGD(T))
  return 0;
}
MS_KERNEL(sgd_, .run = run_sgd);

/* p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps); decoupled: AdamW's decay p -= lr wd p first. */
#define ADAM(T)                                                                                                                    \
  {                                                                                                                                \
    const T b1 = (T)beta1, b2 = (T)beta2, c1 = (T)(1 - beta1), c2 = (T)(1 - beta2), e = (T)eps, wd = (T)decay,                     \
            shrink = (T)(1 - lr * decay), rate = (T)(lr / (1 - pow(beta1, t))), root = (T)(1 / sqrt(1 - pow(beta2, t)));           \
    PIECES(first, n, COST_ADAM, {                                                                                                  \
      T *restrict p = AT(T, 0);                                                                                                    \
      const T *restrict g = AT(T, 1);                                                                                              \
      T *restrict mo = AT(T, 2);                                                                                                   \
      T *restrict v = AT(T, 3);                                                                                                    \
      for (int64_t i = 0; i < m; i++) {                                                                                            \
        T d = decoupled ? g[i] : g[i] + wd * p[i];                                                                                 \
        T q = decoupled ? p[i] * shrink : p[i];                                                                                    \
        mo[i] = b1 * mo[i] + c1 * d;                                                                                               \
        v[i] = b2 * v[i] + c2 * d * d;                                                                                             \
        p[i] = q - rate * mo[i] / (m_sqrt(v[i]) * root + e);                                                                       \
      }                                                                                                                            \
    })                                                                                                                             \
  }

static int run_adam(ms_call *c) {
  int first = 1, n = (c->n_in - 1) / 4;
  bool decoupled = c->attr[6].i;
  double lr = ms_scalar_value(c->attr[1].s), beta1 = ms_scalar_value(c->attr[2].s), beta2 = ms_scalar_value(c->attr[3].s),
         eps = ms_scalar_value(c->attr[4].s), decay = ms_scalar_value(c->attr[5].s);
  double t = *(double *)c->in[0].data += 1;
  if (!n) return 0;
  MS_SWITCH_FLOAT(c->in[1].dtype, "adam_", ADAM(T))
  return 0;
}
MS_KERNEL(adam_, .run = run_adam);
