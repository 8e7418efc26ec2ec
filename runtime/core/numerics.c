/* numerics.c -- ms.detect_nan and ms.check_numerics: the gate asks here after each call. The rule of detect_nan is in numerics.h.
 *
 * What is asked of the device is asked in operations, which are not recorded, not differentiated and not asked themselves. */
#define MS_INSIDE
#include "numerics.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool strict, detect, asking;
void ms_set_check_numerics(bool on) { strict = on; }
bool ms_check_numerics_on(void) { return strict; }
bool ms_detect_nan_on(void) { return detect; }
bool ms_set_detect_nan(bool on) {
  const bool was = detect;
  detect = on;
  return was;
}
bool ms_numerics_watched(void) { return (strict || detect) && !asking; }

typedef struct quiet { /* while the device is asked */
  const ms_observer *observer;
  bool grad, asking;
  int mark;
} quiet;

static quiet begin_asking(void) {
  quiet q = {ms_observe(NULL), ms_set_grad_enabled(false), asking, ms_scope_open()};
  asking = true;
  return q;
}

static void end_asking(quiet q) {
  ms_scope_close(q.mark);
  asking = q.asking;
  ms_set_grad_enabled(q.grad);
  ms_observe(q.observer);
}

static bool floating(const ms_tensor *t) {
  return t && !t->is_number && !t->is_ghost && t->storage && ms_dtype_is_float(t->dtype) && ms_numel(t) > 0;
}

/* The sum of all elements, as f64 of rank 0: it is finite if they are, though not the other way round. */
static ms_tensor *sum(const ms_tensor *t) {
  ms_tensor *x = ms_autorelease(ms_alias(t));
  if (x && ms_dtype_size(x->dtype) < 4) x = ms_cast(x, MS_F32);
  return ms_cast(ms_sum_all(x), MS_F64);
}

static ms_tensor *any_odd(const ms_tensor *t, bool infinity) {
  ms_tensor *x = ms_autorelease(ms_alias(t));
  return ms_apply(MS_OP_any, MS_IN(infinity ? ms_logical_not(ms_isfinite(x)) : ms_isnan(x)), NULL);
}

int ms_numerics_any(int n, ms_tensor *const *t, bool infinity) {
  const quiet q = begin_asking();
  double answer = 0;
  for (int exact = 0; exact < 2; exact++) { /* the second way only if the first, which is fast, finds something */
    ms_tensor *all = NULL;
    for (int k = 0; k < n && !ms_error(); k++) {
      if (!floating(t[k])) continue;
      ms_tensor *one = exact ? any_odd(t[k], infinity) : sum(t[k]);
      all = !all ? one : exact ? ms_logical_or(all, one) : ms_add(all, one);
    }
    answer = all && !ms_error() ? ms_item(all) : 0;
    if (!exact && isfinite(answer)) answer = 0, exact = 2;
  }
  const int rc = ms_error() ? -1 : answer != 0;
  end_asking(q);
  return rc;
}

/* Is one of the numbers that the script wrote, operands and attributes, NaN (or infinite)? */
static bool written(const ms_op *op, int n_in, ms_tensor *const *in, const ms_attr *attr, bool infinity) {
  bool is = false;
  for (int i = 0; i < n_in; i++) {
    const double v = in[i] && in[i]->is_number ? ms_scalar_value(in[i]->number) : 0;
    is |= infinity ? isinf(v) : isnan(v);
  }
  for (int i = 0, a = 0; attr && i < op->n_arg; i++) {
    if (op->arg[i].is_tensor) continue;
    const double v = op->arg[i].kind == MS_K_SCALAR ? ms_scalar_value(attr[a].s) : 0;
    a++;
    is |= infinity ? isinf(v) : isnan(v);
  }
  return is;
}

static int ask(ms_tensor *x, ms_tensor *(*what)(ms_tensor *)) {
  const quiet q = begin_asking();
  ms_tensor *own = ms_alias(x);
  const double some = own ? ms_item(ms_apply(MS_OP_any, MS_IN(what(own)), NULL)) : 0;
  ms_release(own);
  end_asking(q);
  return ms_error() ? -1 : some != 0;
}

/* Which of the input tensors holds NaN (or infinity)? -1: none, or after ms_fail. */
static int holder(int n_in, ms_tensor *const *in, bool infinity) {
  for (int i = 0; i < n_in; i++)
    if (floating(in[i]) && ask(in[i], infinity ? ms_isinf : ms_isnan) > 0) return i;
  return -1;
}

int ms_numerics_before(int n_in, ms_tensor *const *in, ms_given *given) {
  *given = (ms_given){.looked = true, .nan = -1, .infinite = -1};
  if (!detect || ms_numerics_any(n_in, in, true) == 0) return ms_error() ? -1 : 0;
  given->nan = holder(n_in, in, false);
  given->infinite = holder(n_in, in, true);
  return ms_error() ? -1 : 0;
}

/* The first element of t that is NaN (or infinite): its value, and where it is: at[], from 0. */
static double first_odd(ms_tensor *t, bool infinity, int64_t *at) {
  const quiet q = begin_asking();
  const int64_t n = ms_numel(t);
  double *v = malloc((size_t)n * sizeof *v + 1), found = 0;
  ms_tensor *x = ms_alias(t), *wide = x ? ms_cast(x, MS_F64) : NULL;
  if (!v) ms_fail("detect_nan: out of memory");
  if (v && wide && ms_to_host(wide, v) == 0)
    for (int64_t i = 0; i < n && found == 0; i++)
      if (infinity ? isinf(v[i]) : isnan(v[i])) {
        found = v[i];
        for (int d = t->rank - 1; d >= 0; i /= t->shape[d], d--) at[d] = i % t->shape[d];
      }
  ms_release(x);
  free(v);
  end_asking(q);
  return found;
}

/* " (x = 0, y = 3)": what an elementwise operation was given for the element at[] of its result. */
static void put_operands(const ms_op *op, int n_in, ms_tensor *const *in, int rank, const int64_t *at, char *text, size_t size) {
  const quiet q = begin_asking();
  int n = snprintf(text, size, " (");
  for (int i = 0; i < n_in && i < 3; i++) {
    double v = 0;
    if (in[i]->is_number) v = ms_scalar_value(in[i]->number);
    else {
      ms_tensor *own = ms_alias(in[i]), *x = own;
      const int lead = rank - in[i]->rank;
      for (int d = 0; x && d < in[i]->rank; d++) x = ms_select(x, 0, in[i]->shape[d] == 1 ? 0 : at[lead + d]);
      v = x ? ms_item(x) : 0;
      ms_release(own);
    }
    n += snprintf(text + n, size - (size_t)n, "%s%s = ", i ? ", " : "", op->arg[i].name);
    n += snprintf(text + n, size - (size_t)n, "%.7g", isnan(v) ? fabs(v) : v); /* NaN without a sign */
  }
  snprintf(text + n, size - (size_t)n, ")");
  end_asking(q);
}

/* Fail: result k of the call, or the tensor k that it has changed, is t. from: the input that held such a thing before, -1: none.
 */
static int fail_at(const ms_op *op, int n_in, ms_tensor *const *in, ms_tensor *t, int k, bool infinity, int from, bool changed) {
  int64_t at[MS_MAX_RANK] = {0};
  char place[160] = "", given[160] = "", which[48] = "", before[80] = "";
  const double v = first_odd(t, infinity, at);
  for (int d = 0, n = 0; d < t->rank; d++) n += snprintf(place + n, sizeof place - (size_t)n, "[%lld]", (long long)at[d] + 1);
  if (changed && op->mutates) snprintf(which, sizeof which, " in %s", ms_arg_of(op, k)->name);
  else if (k) snprintf(which, sizeof which, " in result %d", k + 1);
  if (op->flags & MS_ELEMENTWISE && !changed) put_operands(op, n_in, in, t->rank, at, given, sizeof given);
  if (from >= 0) snprintf(before, sizeof before, "; argument %s held it before", ms_arg_of(op, from)->name);
  return ms_fail("detect_nan: %s gives %s%s%s%s%s%s", op->name,
                 isnan(v) ? "NaN"
                 : v < 0  ? "-inf"
                          : "inf",
                 which, *place ? " at " : "", place, given, before),
         -1;
}

int ms_numerics_after(const ms_op *op, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out, ms_tensor *const *out,
                      const ms_given *given) {
  const bool changed = n_out == 0;
  const int n = changed ? n_in : n_out;
  for (int k = 0; k < n; k++) {
    ms_tensor *t = changed ? in[k] : out[k];
    if (!floating(t) || (changed && !ms_op_changes(op, k))) continue;
    const int odd = ms_numerics_any(1, &t, true);
    if (odd < 0) return -1;
    if (!odd) continue;
    if (strict && !changed) return ms_fail("%s: result %d (%s) holds NaN or infinity", op->name, k + 1, ms_shape_str(t)), -1;
    if (!detect || op->flags & MS_CREATE) continue;
    for (int infinity = 0; infinity < 2; infinity++) {
      int64_t at[MS_MAX_RANK];
      if (written(op, n_in, in, attr, infinity) || first_odd(t, infinity, at) == 0) continue;
      const int from = !given->looked ? holder(n_in, in, infinity) : infinity ? given->infinite : given->nan;
      if (ms_error()) return -1;
      if (from >= 0 && (infinity || op->flags & MS_COPIES)) continue;
      return fail_at(op, n_in, in, t, k, infinity, from, given->looked);
    }
  }
  return ms_error() ? -1 : 0;
}
