/* numerics.h -- looking for NaN and infinity in what operations give (numerics.c). For the gate, and for compiled steps. */
#ifndef MS_NUMERICS_H
#define MS_NUMERICS_H
#include "core.h"

/* ms.detect_nan: an operation fails that gives NaN, unless it was told to by a number that is NaN; or infinity, where nothing that
 * it was given is infinite. What only makes tensors of numbers given (full, tensor) is not asked. */
bool ms_detect_nan_on(void);
bool ms_set_detect_nan(bool on); /* answers what it was */

/* What a call that changes its arguments was given, before it runs: that of the tensors it was is known no more afterwards. */
typedef struct ms_given {
  bool looked;
  int nan, infinite; /* which input holds such a thing, -1: none */
} ms_given;

bool ms_numerics_watched(void); /* detect_nan or check_numerics is on */
int ms_numerics_before(int n_in, ms_tensor *const *in, ms_given *given);
/* After a call: its results, or the tensors that it has changed. 0, or -1 after ms_fail. given: looked where it changed something.
 */
int ms_numerics_after(const ms_op *op, int n_in, ms_tensor *const *in, const ms_attr *attr, int n_out, ms_tensor *const *out,
                      const ms_given *given);
/* Does one of the floating tensors hold NaN, or (infinity too) infinity? One question to the device. -1 after ms_fail. */
int ms_numerics_any(int n, ms_tensor *const *t, bool infinity);

#endif
