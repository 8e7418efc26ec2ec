/* aside.c -- see aside.h. */
#include "aside.h"
#include "bind.h"
#include "core/busy.h"
#include "step/record.h"

void ms_put_aside(ms_aside *a) {
  ms_busy(NULL);
  a->kernel = ms_busy_kernel(NULL);
  a->record = ms_record_pause();
  a->scopes = msl_scopes();
  msl_set_scopes(NULL);
  a->mark = msl_protect_begin();
}

void ms_take_back(const ms_aside *a, lua_State *L) {
  msl_protect_failed(a->mark);
  msl_free_scopes(msl_scopes());
  msl_set_scopes(a->scopes);
  ms_record_go_on(a->record);
  ms_busy_kernel(a->kernel);
  msl_here(L);
}

void ms_stopped_inside(void) {
  if (ms_recording()) ms_record_refuse("the prompt was opened inside the step");
}
