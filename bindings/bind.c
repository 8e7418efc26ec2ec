/* bind.c -- the generic caller: every row of ops.def and elementwise.def becomes a Lua function and, where its first argument is a
 * tensor, a method. Arguments are taken by the kinds in the row: this is the one place where positions and dimensions change from
 * 1-based to 0-based. */
#include "bind.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments by kind ------------------------------------------------------------------------------------------- */

/* Is the row a method too? Lists of tensors have none. */
static bool is_method(const ms_op *op) { return op->n_arg && op->arg[0].is_tensor && op->arg[0].kind != MS_K_TENSORS; }

/* What to say where argument a, the first one, is no tensor: a method was called with a dot, or a function as if it made an object.
 * In a function of the library's, such as a layer's forward, it may be that one that was called with a dot. */
static const char *dot_hint(lua_State *L, const ms_op *op, const ms_arg *a) {
  lua_Debug ar;
  const bool swallowed = a == op->arg + 1 && lua_type(L, 1) == LUA_TNUMBER; /* x.pow(2): the number went to x */
  if ((a != op->arg && !swallowed) || !is_method(op) || !lua_getstack(L, 1, &ar) || !lua_getinfo(L, "S", &ar)) return "";
  if (strncmp(ar.source, "=mascon/", 8)) return lua_pushfstring(L, "; write x:%s(...), or ms.%s(x, ...)", op->name, op->name);
  const char *name = lua_getlocal(L, &ar, 1);
  const bool dot = name && !strcmp(name, "self") && msl_to(L, -1);
  if (name) lua_pop(L, 1);
  return dot ? "; a method is called with a colon: m:forward(x)" : "";
}

static int bad(lua_State *L, int mark, const ms_op *op, const ms_arg *a, int i, const char *expected) {
  const char *got = luaL_typename(L, i);
  char text[64];
  if (lua_type(L, i) == LUA_TNUMBER) snprintf(text, sizeof text, "%g", lua_tonumber(L, i)), got = text;
  else if (lua_type(L, i) == LUA_TSTRING) snprintf(text, sizeof text, "'%.50s'", lua_tostring(L, i)), got = text;
  else if (msl_to(L, i)) got = "a tensor";
  else if (luaL_getmetafield(L, i, "__name") == LUA_TSTRING) got = lua_tostring(L, -1);
  const char *hint = "";
  if (!strcmp(got, "mascon.data")) hint = " (a set runs through a function by ds:map(fn))";
  else if (!strcmp(got, "mascon.loader")) hint = "; write for x, y in loader do";
  else if (a->kind == MS_K_TENSORS && msl_to(L, i)) hint = lua_pushfstring(L, "; write ms.%s{x, y}", op->name);
  else if (a->is_tensor && a->kind != MS_K_TENSORS && msl_table_kind(L, i) == MSL_LIST && a != op->arg)
    hint = "; a list of numbers becomes a tensor by ms.tensor(list)";
  else if (a->kind == MS_K_DTYPE) hint = msl_dtype_hint(L, lua_tostring(L, i));
  else if (lua_type(L, i) == LUA_TSTRING && lua_type(L, 1) == LUA_TSTRING && op->id == MS_OP_remainder && i == 1)
    hint = "; a text with numbers in it is (\"%.3f\"):format(x:item())";
  else hint = dot_hint(L, op, a);
  return msl_raise(L, mark, "%s: argument %s: expected %s, got %s%s", op->name, a->name, expected, got, hint);
}

/* From 1-based to 0-based; counting from the end stays as it is. */
static int64_t base0(lua_State *L, int mark, const ms_op *op, const ms_arg *a, int i, int64_t v) {
  if (v == 0 && lua_type(L, i) != LUA_TNUMBER)
    msl_raise(L, mark, "%s: argument %s: expected 1, 2, ... or -1, -2, ... from the end, got a list with 0 in it", op->name,
              a->name);
  if (v == 0) bad(L, mark, op, a, i, "1, 2, ... or -1, -2, ... from the end");
  return v > 0 ? v - 1 : v;
}

static ms_tensor *number_of(ms_scalar s) {
  ms_plain v;
  ms_scalar_constant(s, &v);
  return ms_number(v.value);
}

/* The place, from 0, of the text at i among the words of an argument; -1: it is none of them. */
static int word_of(lua_State *L, const ms_arg *a, int i) {
  const char *word = lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : "", *w = a->words;
  for (int k = 0; *w && *w != ')'; k++) {
    size_t n = strcspn(w, "|)");
    if (strlen(word) == n && !strncmp(w, word, n)) return k;
    w += n + (w[n] == '|');
  }
  return -1;
}

/* A number or a list of at most 8. */
static bool numbers(lua_State *L, int i, ms_ints *v) {
  const bool list = lua_istable(L, i);
  const int64_t n = list ? (int64_t)lua_rawlen(L, i) : 1;
  bool ok = n >= 1 && n <= MS_MAX_RANK;
  for (int64_t k = 1; ok && k <= n; k++) {
    if (list) lua_rawgeti(L, i, k);
    else lua_pushvalue(L, i);
    msl_look(L, lua_gettop(L));
    if ((ok = lua_type(L, -1) == LUA_TNUMBER)) v->at[v->n++] = ms_number_bits(lua_tonumber(L, -1));
    lua_pop(L, 1);
  }
  return ok;
}

static ms_attr attribute(lua_State *L, int mark, const ms_op *op, const ms_arg *a, int i) {
  ms_attr r = {.v = {.n = 0}};
  int ok = 1;
  if (a->kind != MS_K_SCALAR && msl_live(L, i)) { /* it decides a size, or what is computed */
    lua_pushvalue(L, i);
    msl_look(L, i = lua_gettop(L));
  }
  switch (a->kind) {
  case MS_K_BOOL:
    if (!lua_isboolean(L, i)) bad(L, mark, op, a, i, "true or false");
    r.i = lua_toboolean(L, i);
    break;
  case MS_K_SCALAR:
    if (msl_live(L, i)) {
      r.s = ms_scalar_of_cell(msl_live(L, i));
      break;
    }
    if (lua_type(L, i) != LUA_TNUMBER) bad(L, mark, op, a, i, "a number");
    r.s = ms_scalar_of_plain(msl_plain(L, i));
    break;
  case MS_K_DTYPE: {
    const char *name = lua_tostring(L, i);
    r.i = name ? ms_dtype_parse(name) : -1;
    if (r.i < 0) bad(L, mark, op, a, i, "a dtype (f32, f64, bf16, f16, i64, i32, u8, bool)");
    r.i += a->optional;
    break;
  }
  case MS_K_ENUM: {
    char expected[96];
    snprintf(expected, sizeof expected, "one of %.*s", (int)strcspn(a->words, ")"), a->words);
    if ((r.i = word_of(L, a, i)) < 0) bad(L, mark, op, a, i, expected);
    break;
  }
  case MS_K_NUMBERS:
    if (!numbers(L, i, &r.v)) bad(L, mark, op, a, i, "a number or a list of at most 8 numbers");
    break;
  case MS_K_DIMS:
  case MS_K_SHAPE:
  case MS_K_INTS:
    if (a->words && lua_type(L, i) == LUA_TSTRING) { /* words in place of integers */
      char expected[96];
      snprintf(expected, sizeof expected, "integers or one of %.*s", (int)strcspn(a->words, ")"), a->words);
      const int word = word_of(L, a, i);
      if (word < 0) bad(L, mark, op, a, i, expected);
      r.v.n = ~word;
      break;
    }
    if (!msl_ints(L, i, &r.v)) bad(L, mark, op, a, i, "an integer or a list of at most 8 integers");
    if (a->kind == MS_K_DIMS)
      for (int k = 0; k < r.v.n; k++) r.v.at[k] = base0(L, mark, op, a, i, r.v.at[k]);
    break;
  default:
    r.i = lua_tointegerx(L, i, &ok);
    if (!ok || lua_type(L, i) != LUA_TNUMBER) bad(L, mark, op, a, i, "an integer");
    if (a->kind == MS_K_SIZE && r.i < 0) bad(L, mark, op, a, i, "0 or more");
    if (a->kind == MS_K_DIM || a->kind == MS_K_POSITION) r.i = base0(L, mark, op, a, i, r.i);
  }
  return r;
}

/* The options of a call: named fields of its last argument. In `x:sum{1, keepdim = true}` the list before them is an argument too.
 */
typedef struct call_options {
  int at;    /* where on the stack; 0: none */
  bool both; /* it holds a list as well */
} call_options;

static call_options find_options(lua_State *L, int mark, const ms_op *op, int top) {
  msl_table kind = top > 0 ? msl_table_kind(L, top) : MSL_NO_TABLE;
  if (kind == MSL_ODD)
    msl_raise(L, mark, "%s: the table has a hole, or a key that is neither a name nor one of 1, 2, ...", op->name);
  if (kind != MSL_NAMED && kind != MSL_BOTH) return (call_options){0};
  const char *names[MS_MAX_ARGS + 3];
  int n = 0;
  for (int k = 0; k < op->n_arg; k++) names[n++] = op->arg[k].name;
  if (op->flags & MS_CREATE) names[n++] = "device", names[n++] = "requires_grad";
  names[n] = NULL;
  ms_scope_close(mark);
  msl_check_names(L, top, op->name, names);
  lua_checkstack(L, op->n_arg + 8);
  return (call_options){top, kind == MSL_BOTH};
}

/* Where on the stack the next argument by position is; 0: none is left. The table of options is one only if it holds a list too and
 * the argument wants a list. */
static int next_positional(const call_options *o, int *next, int top, bool list) {
  if (*next > top || (*next == o->at && !(o->both && list))) return 0;
  return (*next)++;
}

/* An empty table is a list where argument k may be an empty list (sizes, dimensions); elsewhere it is options of which none is set.
 */
static bool no_options(lua_State *L, int i, const ms_op *op, int k) {
  const ms_arg *a = &op->arg[k];
  return a->has_default && a->kind != MS_K_DIMS && a->kind != MS_K_SHAPE && msl_table_kind(L, i) == MSL_EMPTY;
}

static bool takes_list(const ms_arg *a) {
  return a->kind == MS_K_TENSORS || a->kind == MS_K_INTS || a->kind == MS_K_NUMBERS || a->kind == MS_K_DIMS ||
         a->kind == MS_K_SHAPE;
}

/* A list is positions 1..n and nothing else. */
static void check_list(lua_State *L, int mark, const ms_op *op, const ms_arg *a, int i) {
  msl_table kind = msl_table_kind(L, i);
  if (kind == MSL_BOTH || kind == MSL_NAMED)
    msl_raise(L, mark, "%s: argument %s: expected a list, got one with names; options come last", op->name, a->name);
  if (kind == MSL_ODD) msl_raise(L, mark, "%s: argument %s: the list has a hole, or a key that is no position", op->name, a->name);
}

enum { FEW = 16 };

static int push_outputs(lua_State *L, int mark, int n, ms_tensor **out, ms_tensor *self) {
  if (n < 0) return msl_leave(L, mark), 0;
  if (n == 0) out[0] = self, n = 1;
  for (int k = 0; k < n; k++) msl_push(L, out[k]);
  msl_leave(L, mark);
  return n;
}

/* A word with a default may be left out before a number: x:pad({1, 1}, -1), where the word is the mode and the number the value. */
static bool word_left_out(lua_State *L, const ms_op *op, int k, int next, int top, int options) {
  return op->arg[k].kind == MS_K_ENUM && op->arg[k].has_default && k + 1 < op->n_arg && op->arg[k + 1].kind == MS_K_SCALAR &&
         next <= top && next != options && lua_type(L, next) == LUA_TNUMBER;
}

static int call_row(lua_State *L) {
  const ms_op *op = ms_op_at((int)lua_tointeger(L, lua_upvalueindex(1)));
  if (op->id == MS_OP_bernoulli && msl_to(L, 1)) op = ms_op_at(MS_OP_bernoulli_of);
  int top = lua_gettop(L), mark = msl_enter(L), next = 1, n_in = 0, n_attr = 0;
  const call_options o = find_options(L, mark, op, top);
  ms_tensor *few[FEW] = {0}, **in = few, *out[MS_MAX_OUT];
  ms_attr attr[MS_MAX_ARGS];
  for (int k = 0; k < op->n_arg; k++) {
    const ms_arg *a = &op->arg[k];
    int i = word_left_out(L, op, k, next, top, o.at) ? 0 : next_positional(&o, &next, top, takes_list(a));
    if (o.at && (!i || lua_isnil(L, i))) {
      if (lua_getfield(L, o.at, a->name) != LUA_TNIL) i = lua_gettop(L);
      else lua_pop(L, 1);
    } else if (o.at && lua_getfield(L, o.at, a->name) != LUA_TNIL)
      return msl_raise(L, mark, "%s: argument %s is given twice", op->name, a->name);
    else if (o.at) lua_pop(L, 1);
    bool given = i && !lua_isnil(L, i);
    if (given && i == top && !o.at && no_options(L, i, op, k)) given = false;
    if (!given && !a->has_default && !a->optional)
      return msl_raise(L, mark, "%s: argument %s is missing%s", op->name, a->name, dot_hint(L, op, a));
    if (given && a->kind == MS_K_SHAPE && lua_type(L, i) == LUA_TNUMBER && next <= top && next != o.at)
      return msl_raise(L, mark, "%s: sizes go in a list: %s%s({2, 3})", op->name, n_in ? "x:" : "ms.", op->name);
    if (given && takes_list(a) && i != o.at && lua_istable(L, i)) check_list(L, mark, op, a, i);
    if (!a->is_tensor) {
      attr[n_attr++] = given ? attribute(L, mark, op, a, i) : a->value;
    } else if (a->kind == MS_K_TENSORS) {
      if (!lua_istable(L, i)) bad(L, mark, op, a, i, "a list of tensors");
      int count = (int)lua_rawlen(L, i);
      if (!count) return msl_raise(L, mark, "%s: argument %s: the list is empty", op->name, a->name);
      if (n_in + count > FEW) { /* belongs to Lua, so that an error leaks nothing */
        in = lua_newuserdatauv(L, (size_t)(n_in + count) * sizeof *in, 0);
        memcpy(in, few, sizeof few);
      }
      for (int j = 1; j <= count; j++) {
        lua_rawgeti(L, i, j);
        if (!(in[n_in++] = msl_to(L, -1))) {
          if (lua_type(L, -1) == LUA_TUSERDATA) ms_scope_close(mark), msl_check(L, -1, op->name);
          bad(L, mark, op, a, lua_gettop(L), "tensors only");
        }
        lua_pop(L, 1);
      }
    } else if (!given) {
      in[n_in++] = a->optional ? NULL : number_of(a->value.s);
    } else {
      ms_tensor *t = a->kind == MS_K_OPERAND ? msl_operand(L, i) : msl_to(L, i);
      if (!t && lua_type(L, i) == LUA_TUSERDATA) return ms_scope_close(mark), msl_check(L, i, op->name), 0;
      if (!t) return bad(L, mark, op, a, i, a->kind == MS_K_OPERAND ? "a tensor or a number" : "a tensor");
      in[n_in++] = t;
    }
  }
  if (o.both && next == o.at)
    return msl_raise(L, mark, "%s: expected options by name, got a list with them that no argument takes", op->name);
  if (next <= top && next != o.at && !(next == top && msl_table_kind(L, top) == MSL_EMPTY))
    return msl_raise(L, mark, "%s: too many arguments (%d, expected at most %d)%s", op->name, top - (o.at > 0), op->n_arg,
                     op->id == MS_OP_permute ? "; dimensions go in a list: x:permute{2, 1}"
                     : op->id == MS_OP_tile  ? "; a number for each dimension goes in a list: x:tile{2, 3}"
                                             : "");
  ms_device *device = op->flags & MS_CREATE ? msl_device(L, o.at) : NULL;
  if (op->id == MS_OP_contiguous) return push_outputs(L, mark, (out[0] = ms_contiguous(in[0])) ? 1 : -1, out, in[0]);
  if (op->id == MS_OP_matmul)
    return push_outputs(L, mark, (out[0] = ms_matmul(in[0], in[1], attr[0].i != 0, attr[1].i != 0)) ? 1 : -1, out, in[0]);
  if (op->id == MS_OP_cat) return push_outputs(L, mark, (out[0] = ms_cat(n_in, in, attr[0].i)) ? 1 : -1, out, in[0]);
  if (op->id == MS_OP_copy_) return push_outputs(L, mark, ms_copy_(in[0], in[1]) ? 0 : -1, out, in[0]);
  int n = ms_apply_n(op->id, device, n_in, in, attr, out);
  if (n > 0 && (op->flags & MS_CREATE) && msl_flag(L, o.at, op->name, "requires_grad", false)) ms_set_requires_grad(out[0], true);
  return push_outputs(L, mark, n, out, in[0]);
}

/* The operands of an elementwise row, by position: how many there are; -1: options came too, and call_row has to sort them out. */
static int take_operands(lua_State *L, const ms_op *op, int mark, ms_tensor **in) {
  int top = lua_gettop(L);
  if (top > op->arity) {
    if (lua_istable(L, top)) return -1;
    msl_raise(L, mark, "%s: too many arguments (%d, expected at most %d)", op->name, top, op->arity);
  }
  for (int k = 0; k < op->arity; k++) {
    if ((in[k] = msl_operand(L, k + 1))) continue;
    const ms_arg *a = &op->arg[k];
    if (lua_isnoneornil(L, k + 1) && a->has_default) in[k] = number_of(a->value.s);
    else if (lua_isnone(L, k + 1)) msl_raise(L, mark, "%s: argument %s is missing%s", op->name, a->name, dot_hint(L, op, a));
    else if (lua_istable(L, k + 1) && k + 1 == top) return -1;
    else if (lua_type(L, k + 1) == LUA_TUSERDATA) ms_scope_close(mark), msl_check(L, k + 1, op->name);
    else bad(L, mark, op, a, k + 1, "a tensor or a number");
  }
  return op->arity;
}

/* Whole numbers have no quotient by zero. A divisor that is a number is looked at; one that is a tensor is not, since that would
 * take a pass over it and wait for its device: there the kernels give 0. */
static bool divides(const ms_op *op) { return op->id == MS_OP_floor_div || op->id == MS_OP_remainder || op->id == MS_OP_fmod; }
static void check_divisor(lua_State *L, int mark, const ms_op *op, ms_tensor *const *in) {
  ms_plain by;
  if (in[1]->is_number && ms_scalar_constant(in[1]->number, &by) && by.value == 0 && in[1]->is_integer_number &&
      !in[0]->is_number && !ms_dtype_is_float(in[0]->dtype))
    msl_raise(L, mark, "%s: whole numbers (%s) divided by zero", op->name, ms_shape_str(in[0]));
}

static int call_elementwise(lua_State *L) {
  const ms_op *op = ms_op_at((int)lua_tointeger(L, lua_upvalueindex(1)));
  int mark = msl_enter(L);
  ms_tensor *in[3];
  int n = take_operands(L, op, mark, in);
  if (n < 0) return ms_scope_close(mark), call_row(L);
  if (divides(op)) check_divisor(L, mark, op, in);
  ms_tensor *r = ms_apply(op->id, n, in, NULL);
  if (r) msl_push(L, r);
  msl_leave(L, mark);
  return 1;
}

/* Lua hands a unary minus its operand twice. */
static int call_unary_event(lua_State *L) {
  lua_settop(L, 1);
  return call_elementwise(L);
}

static int call_inplace(lua_State *L) {
  const ms_op *op = ms_op_at((int)lua_tointeger(L, lua_upvalueindex(1)));
  int mark = msl_enter(L);
  if (lua_type(L, 1) != LUA_TUSERDATA)
    return msl_raise(L, mark, "%s_: expected a tensor, got %s; with a colon: x:%s_(...)", op->name, luaL_typename(L, 1), op->name);
  ms_tensor *in[3];
  int n = take_operands(L, op, mark, in);
  if (n < 0) return msl_raise(L, mark, "%s_: expected operands by position", op->name);
  if (divides(op)) check_divisor(L, mark, op, in);
  ms_apply_inplace(op->id, n, in, NULL);
  msl_leave(L, mark);
  lua_settop(L, 1);
  return 1;
}

/* PyTorch's other names of rows: the same functions. */
static const struct {
  const char *name;
  int id;
} aliases[] = {
    {"absolute", MS_OP_abs},
    {"arccos", MS_OP_acos},
    {"arccosh", MS_OP_acosh},
    {"arcsin", MS_OP_asin},
    {"arcsinh", MS_OP_asinh},
    {"arctan", MS_OP_atan},
    {"arctan2", MS_OP_atan2},
    {"arctanh", MS_OP_atanh},
    {"broadcast_to", MS_OP_expand},
    {"clip", MS_OP_clamp},
    {"concat", MS_OP_cat},
    {"concatenate", MS_OP_cat},
    {"expit", MS_OP_sigmoid},
    {"fix", MS_OP_trunc},
    {"floor_divide", MS_OP_floor_div},
    {"gammaln", MS_OP_lgamma},
    {"ger", MS_OP_outer},
    {"greater", MS_OP_gt},
    {"greater_equal", MS_OP_ge},
    {"less", MS_OP_lt},
    {"less_equal", MS_OP_le},
    {"moveaxis", MS_OP_movedim},
    {"multiply", MS_OP_mul},
    {"mvlgamma", MS_OP_multigammaln},
    {"negative", MS_OP_neg},
    {"not_equal", MS_OP_ne},
    {"psi", MS_OP_digamma},
    {"row_stack", MS_OP_vstack},
    {"sgn", MS_OP_sign},
    {"subtract", MS_OP_sub},
    {"swapaxes", MS_OP_transpose},
    {"swapdims", MS_OP_transpose},
    {"true_divide", MS_OP_div},
    {"vdot", MS_OP_dot},
};

/* ---- rows as data, for help, tests and tools --------------------------------------------------------------------- */

static void push_derivatives(lua_State *L, const ms_op *op) { /* a list of texts, one per operand */
  lua_createtable(L, op->arity, 0);
  for (int k = 0; k < op->arity; k++) lua_pushstring(L, op->derivative[k]), lua_rawseti(L, -2, k + 1);
}

/* The members of a set of arguments or results, counted from 1. */
static void push_set(lua_State *L, int set) {
  lua_newtable(L);
  for (int i = 0; set >> i; i++)
    if (set >> i & 1) lua_pushinteger(L, i + 1), lua_rawseti(L, -2, luaL_len(L, -2) + 1);
}

/* What passes know of a row (see backend.h): fields of the table on top of the stack. */
static void set_traits(lua_State *L, const ms_op *op) {
  static const struct {
    const char *name;
    int flag;
  } flags[] = {
      {"copies", MS_COPIES}, {"sums", MS_SUMS}, {"averages", MS_AVERAGES}, {"head", MS_HEAD}, {"free_layout", MS_FREE_LAYOUT}};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    lua_pushboolean(L, op->flags & flags[i].flag), lua_setfield(L, -2, flags[i].name);
  push_set(L, ms_op_images_in(op)), lua_setfield(L, -2, "images");
  push_set(L, ms_op_images_out(op)), lua_setfield(L, -2, "image_results");
  lua_newtable(L);
  for (int k = 0; k < 2 && ms_op_linear(op, k); k++) push_set(L, ms_op_linear(op, k)), lua_rawseti(L, -2, k + 1);
  lua_setfield(L, -2, "linear");
  lua_pushboolean(L, op->rule->flops != NULL), lua_setfield(L, -2, "has_flops");
}

/* ms.ops() -> list of {name, signature, doc, sample, elementwise, arity, class, view, random, create, composite, no_grad, mutates,
 * has_vjp, has_ref, private, aliases, args, and the fields of set_traits} */
static int ops(lua_State *L) {
  static const char *const classes[] = {"float", "arith", "bound", "compare", "logic", "choose", "whole"};
  lua_createtable(L, ms_op_count(), 0);
  for (int i = 0; i < ms_op_count(); i++) {
    const ms_op *op = ms_op_at(i);
    lua_createtable(L, 0, 16);
#define S(k, v) (lua_pushstring(L, v), lua_setfield(L, -2, k))
#define B(k, v) (lua_pushboolean(L, v), lua_setfield(L, -2, k))
    S("name", op->name), S("signature", op->signature), S("doc", op->doc), S("sample", op->sample);
    bool e = op->flags & MS_ELEMENTWISE;
    B("elementwise", e);
    if (e)
      S("class", classes[op->elementwise_class]), S("formula", op->formula), push_derivatives(L, op),
          lua_setfield(L, -2, "derivatives");
    lua_pushinteger(L, op->arity);
    lua_setfield(L, -2, "arity");
    B("view", op->flags & MS_VIEW), B("random", op->flags & MS_RANDOM), B("create", op->flags & MS_CREATE);
    B("private", op->flags & MS_PRIVATE), B("composite", op->flags & MS_COMPOSITE), B("no_grad", op->flags & MS_NO_GRAD),
        B("mutates", op->mutates);
    B("has_vjp", op->rule->vjp != NULL), B("has_ref", op->rule->ref != NULL);
    set_traits(L, op);
    lua_newtable(L);
    for (size_t k = 0, n = 0; k < sizeof aliases / sizeof *aliases; k++)
      if (aliases[k].id == op->id) lua_pushstring(L, aliases[k].name), lua_rawseti(L, -2, (lua_Integer)++n);
    lua_setfield(L, -2, "aliases");
    lua_createtable(L, op->n_arg, 0);
    for (int k = 0; k < op->n_arg; k++) {
      lua_createtable(L, 0, 3);
      S("name", op->arg[k].name), B("tensor", op->arg[k].is_tensor);
      lua_pushinteger(L, op->arg[k].kind);
      lua_setfield(L, -2, "kind");
      lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "args");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static void set_both(lua_State *L, const char *name, bool method) { /* stack: module, methods, function */
  if (method) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
  }
  lua_setfield(L, -3, name);
}

void msl_open_ops(lua_State *L) { /* stack: module, methods */
  char name[32];
  msl_takes_live(call_row, 0), msl_takes_live(call_elementwise, 0);
  msl_takes_live(call_unary_event, 0), msl_takes_live(call_inplace, 0);
  for (int i = 0; i < ms_op_count(); i++) {
    const ms_op *op = ms_op_at(i);
    bool e = op->flags & MS_ELEMENTWISE;
    lua_pushinteger(L, i);
    lua_pushcclosure(L, e ? call_elementwise : call_row, 1);
    if (op->flags & MS_PRIVATE) {
      msl_inside(L);
      lua_insert(L, -2);
      lua_setfield(L, -2, op->name);
      lua_pop(L, 1);
      continue;
    }
    set_both(L, op->name, is_method(op));
    if (e && (op->elementwise_class <= MS_CLASS_BOUND || op->elementwise_class == MS_CLASS_WHOLE)) {
      snprintf(name, sizeof name, "%s_", op->name);
      lua_pushinteger(L, i);
      lua_pushcclosure(L, call_inplace, 1);
      lua_setfield(L, -2, name);
    }
  }
  lua_getfield(L, -2, "bernoulli"); /* of a tensor, too: call_row */
  lua_setfield(L, -2, "bernoulli");
  for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
    const ms_op *op = ms_op_at(aliases[i].id);
    lua_getfield(L, -2, op->name);
    set_both(L, aliases[i].name, is_method(op));
  }
  lua_pushcfunction(L, ops);
  lua_setfield(L, -3, "ops");
  static const struct {
    const char *event;
    int id;
  } events[] = {{"__add", MS_OP_add}, {"__sub", MS_OP_sub}, {"__mul", MS_OP_mul},       {"__div", MS_OP_div},
                {"__pow", MS_OP_pow}, {"__unm", MS_OP_neg}, {"__mod", MS_OP_remainder}, {"__idiv", MS_OP_floor_div}};
  luaL_getmetatable(L, "mascon.tensor");
  for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
    lua_pushinteger(L, events[i].id);
    lua_pushcclosure(L, events[i].id == MS_OP_neg ? call_unary_event : call_elementwise, 1);
    lua_setfield(L, -2, events[i].event);
  }
  lua_pop(L, 1);
}
