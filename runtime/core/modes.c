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
static const char *const precisions[] = {[MS_PRECISION_F32] = "f32", [MS_PRECISION_BF16] = "bf16"};

ms_precision ms_get_precision(void) { return precision; }
const char *ms_precision_name(void) { return precisions[precision]; }

int ms_set_precision(const char *name) {
  if (!strcmp(name, "f32")) return precision = MS_PRECISION_F32, 0;
  if (strcmp(name, "bf16")) return ms_fail("precision: expected f32 or bf16, got '%s'", name), -1;
  const ms_device *cpu = ms_device_get("cpu");
  if (!cpu) return -1;
  if (!cpu->backend->bf16 || !cpu->backend->bf16())
    return ms_fail("precision bf16: %s: needs a processor with AVX512_BF16", cpu->description), -1;
  return precision = MS_PRECISION_BF16, 0;
}
