/* ml.h -- what the bindings of classical learning share (ml.c), and their families (ml_*.c).
 * Every function that scripts find in inside.ml takes `what`, the words that messages begin with, as its first argument. */
#ifndef MASCON_BINDINGS_ML_H
#define MASCON_BINDINGS_ML_H
#include "bind.h"
#include "host.h"
#include "ml/ml.h"

/* A family: its functions. To add one: a file ml_NAME.c, a line here, a line in msl_open_ml. */
extern const luaL_Reg msl_ml_knn[], msl_ml_forest[], msl_ml_pca[], msl_ml_metrics[], msl_ml_logistic[], msl_ml_tsne[],
    msl_ml_cluster[];

/* A fitted model as userdata: freed with it. */
typedef struct msl_model {
  void *p; /* NULL until it is made */
  void (*free)(void *);
} msl_model;
msl_model *msl_push_model(lua_State *L, const char *class, void (*release)(void *));
void *msl_check_model(lua_State *L, int i, const char *class);

const char *msl_what_at(lua_State *L); /* argument 1 */

/* As msl_leave, but a message of the core begins with `what` in place of the core's own name for the method. */
void msl_leave_as(lua_State *L, int mark, const char *what);

/* The tensor at index i as rows of samples: n of them, d features each, whatever shape a sample has. want: features it must have;
 * 0: any. Raises. */
ms_tensor *msl_samples_at(lua_State *L, int i, const char *what, int64_t want, int64_t *n, int64_t *d);
/* Its values as f32 in host memory; they belong to the current scope. NULL after a failure. */
const float *msl_rows_of(ms_tensor *t);

/* The labels at index i as int32 in a userdata that it pushes, each in 1..classes (0: from 1 on). rows: how many there must be; -1:
 * any number, which *rows then is. *largest: the largest one, 0 where there are none. Raises. */
const int32_t *msl_labels_at(lua_State *L, int i, const char *what, const char *name, int64_t classes, int64_t *rows,
                             int32_t *largest);
/* Labels the core gave, as an i64 tensor on a device. NULL after a failure. */
ms_tensor *msl_labels_to(const int32_t *y, int rank, const int64_t *shape, ms_device *device);

/* The tensor `name` of the table at index i, of a rank, as `dtype` in host memory; raises. It belongs to the scope. */
ms_tensor *msl_state_entry(lua_State *L, int mark, int i, const char *what, const char *name, int dtype, int rank);

#endif
