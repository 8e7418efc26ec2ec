/* optim.c -- optimizer updates: all parameters in one parallel region, each thread a part of every parameter. PyTorch's formulas
 * (facts of torch.optim). Without weight decay the parameter stays out of the gradient: 0 * infinity would be NaN.
 *
 * c->in holds lists of n tensors, one after the other: parameters, gradients, and what the optimizer keeps of each parameter (its
 * momentum; its running means). The last list, where anything is kept, is the number of updates so far. */
#include "cpu.h"
#include "../math.h"

enum {
  LINE = 64,      /* elements that one thread updates at least */
  COST_SGD = 4,   /* simple operations that an element takes (ms_team) */
  COST_ADAM = 12, /* the same */
};

typedef struct sgd_settings {
  double lr, momentum, dampening, decay;
  bool nesterov;
} sgd_settings;

typedef struct adam_settings {
  double lr, beta1, beta2, eps, decay;
  bool decoupled;
} adam_settings;

/* What corrects Adam's running means, which began at 0, after `updates` updates. */
typedef struct correction {
  double updates, rate, root;
} correction;

#define T    float
#define G(x) x##_f32
#include "optim_template.h"
#undef T
#undef G
#define T    double
#define G(x) x##_f64
#include "optim_template.h"
#undef T
#undef G

/* ---- who updates what -------------------------------------------------------------------------------------------- */

/* Thread t of `team` updates elements first .. end-1 of parameter i: of each parameter its t-th part, since it has most likely
 * computed that part of the gradient and will read that part of the parameter; lines of the cache that another thread wrote are
 * slow to read. A short parameter is updated by one thread, the next one by the next. */
static void share(int i, int t, int team, int64_t size, int64_t *first, int64_t *end) {
  if (size < LINE * team) t = (t + i) % team;
  *first = size / LINE * t / team * LINE;
  *end = t == team - 1 ? size : size / LINE * (t + 1) / team * LINE;
}

static int team_of(const ms_call *c, int n, int cost) {
  int64_t total = 0;
  for (int i = 0; i < n; i++) total += ms_view_numel(&c->in[i]);
  return ms_team(total * cost);
}

/* Count one update more of each parameter. Before the threads start: they read the counts. */
static void count_update(ms_call *c, int n) {
  for (int i = c->n_in - n; i < c->n_in; i++) *(double *)c->in[i].data += 1;
}
static double updates_of(const ms_call *c, int n, int i) { return *(const double *)c->in[c->n_in - n + i].data; }

/* Element `first` of parameter i's tensor in a list. */
static void *element(const ms_call *c, int list, int n, int i, int64_t first) {
  const ms_view *v = &c->in[list * n + i];
  return (char *)v->data + first * (int64_t)ms_dtype_size(v->dtype);
}

/* ---- the kernels ------------------------------------------------------------------------------------------------- */

static void sgd_part(const ms_call *c, const sgd_settings *s, int n, int i, int64_t first, int64_t count) {
  const bool keeps = c->n_in > 2 * n;
  void *p = element(c, 0, n, i, first), *g = element(c, 1, n, i, first), *momentum = keeps ? element(c, 2, n, i, first) : NULL;
  const bool fresh = keeps && updates_of(c, n, i) == 1;
  if (c->in[i].dtype == MS_F32) sgd_f32(s, count, p, g, momentum, fresh);
  else sgd_f64(s, count, p, g, momentum, fresh);
}

static int run_sgd(ms_call *c) {
  const int lists = (int)c->attr[0].i, n = c->n_in / lists, team = team_of(c, n, COST_SGD);
  const sgd_settings s = {.lr = ms_scalar_value(c->attr[1].s),
                          .momentum = ms_scalar_value(c->attr[2].s),
                          .dampening = ms_scalar_value(c->attr[3].s),
                          .decay = ms_scalar_value(c->attr[4].s),
                          .nesterov = c->attr[5].i};
  if (lists == 4) count_update(c, n);
  MS_PARALLEL(team, t, team, {
    for (int i = 0; i < n; i++) {
      int64_t first, end;
      share(i, (int)t, team, ms_view_numel(&c->in[i]), &first, &end);
      if (first < end) sgd_part(c, &s, n, i, first, end - first);
    }
  });
  return 0;
}
MS_KERNEL(sgd_, .run = run_sgd);

static void adam_part(const ms_call *c, const adam_settings *s, const correction *a, int n, int i, int64_t first, int64_t count) {
  void *p = element(c, 0, n, i, first), *g = element(c, 1, n, i, first);
  void *mean = element(c, 2, n, i, first), *square = element(c, 3, n, i, first);
  if (c->in[i].dtype == MS_F32) adam_f32(s, a, count, p, g, mean, square);
  else adam_f64(s, a, count, p, g, mean, square);
}

static int run_adam(ms_call *c) {
  const int n = c->n_in / 5, team = team_of(c, n, COST_ADAM);
  const adam_settings s = {.lr = ms_scalar_value(c->attr[1].s),
                           .beta1 = ms_scalar_value(c->attr[2].s),
                           .beta2 = ms_scalar_value(c->attr[3].s),
                           .eps = ms_scalar_value(c->attr[4].s),
                           .decay = ms_scalar_value(c->attr[5].s),
                           .decoupled = c->attr[6].i};
  count_update(c, n);
  MS_PARALLEL(team, t, team, {
    correction a = {.updates = -1};
    for (int i = 0; i < n; i++) {
      int64_t first, end;
      share(i, (int)t, team, ms_view_numel(&c->in[i]), &first, &end);
      if (first >= end) continue;
      const double updates = updates_of(c, n, i);
      if (updates != a.updates) /* most parameters have had as many as the one before */
        a = (correction){updates, s.lr / (1 - pow(s.beta1, updates)), 1 / sqrt(1 - pow(s.beta2, updates))};
      adam_part(c, &s, &a, n, i, first, end - first);
    }
  });
  return 0;
}
MS_KERNEL(adam_, .run = run_adam);
