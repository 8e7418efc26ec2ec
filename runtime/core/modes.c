/* modes.c -- what the script may choose about how results are computed: whether they must be the same from run to run, whether
 * denormal numbers become zero, and with which precision products are formed. */
#include "core.h"
#include <string.h>

/* ---- order of summation ------------------------------------------------------------------------------------------ */

static bool any_order;

bool ms_deterministic(void) { return !any_order; }
void ms_set_deterministic(bool on) { any_order = !on; }

/* ---- denormal numbers -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static bool flush_denormal = true;
void ms_set_flush_denormal(bool on) { flush_denormal = on; }
#else
static const bool flush_denormal = false;
void ms_set_flush_denormal(bool on) { (void)on; }
#endif
bool ms_flush_denormal(void) { return flush_denormal; }

/* ---- precision --------------------------------------------------------------------------------------------------- */

static ms_precision precision;
static const char *const precisions[] = {[MS_PRECISION_F32] = "f32", [MS_PRECISION_BF16] = "bf16", [MS_PRECISION_TF32] = "tf32"};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

ms_precision ms_get_precision(void) { return precision; }
const char *ms_precision_name(void) { return precisions[precision]; }
int ms_device_precision(const ms_device *d) { return d->precisions >> precision & 1 ? precision : MS_PRECISION_F32; }

int ms_set_precision(const char *name) {
  int p = 0;
  while (p < PRECISIONS && strcmp(name, precisions[p])) p++;
  if (p == PRECISIONS) return ms_fail("precision: expected f32, bf16 or tf32, got '%s'", name), -1;
  const ms_device *d = ms_device_default(); /* opens it */
  if (!d) return -1;
  bool offered = p == MS_PRECISION_F32;
  for (int i = 0; (d = ms_device_open(i)) && !offered; i++) offered = d->precisions >> p & 1;
  if (!offered && p == MS_PRECISION_BF16)
    return ms_fail("precision bf16: %s: needs a processor with AVX512_BF16", ms_device_default()->description), -1;
  if (!offered) return ms_fail("precision %s: no device in use offers it (%s)", name, ms_device_default()->description), -1;
  return precision = (ms_precision)p, 0;
}
