/* signature.c -- the rows as data: tables filled from ops.def and elementwise.def, signatures parsed once at start. */
#include "core.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP(name, ...) extern const ms_rule ms_rule_##name;
#define E1(name, ...) extern const ms_rule ms_rule_##name;
#define E2(name, ...) extern const ms_rule ms_rule_##name;
#define E3(name, ...) extern const ms_rule ms_rule_##name;
#include "elementwise.def"
#include "ops.def"
#undef OP
#undef E1
#undef E2
#undef E3

#define CLASS_FLAGS(c) ((c) == MS_CLASS_COMPARE || (c) == MS_CLASS_LOGIC ? MS_NO_GRAD : 0)
#define ROW(nm, sig, fl, dc, sm, cl, ar, fm, dv)                                                                                   \
  {.name = #nm,                                                                                                                    \
   .signature = sig,                                                                                                               \
   .doc = dc,                                                                                                                      \
   .sample = sm,                                                                                                                   \
   .rule = &ms_rule_##nm,                                                                                                          \
   .id = MS_OP_##nm,                                                                                                               \
   .flags = fl,                                                                                                                    \
   .elementwise_class = cl,                                                                                                        \
   .arity = ar,                                                                                                                    \
   .formula = fm,                                                                                                                  \
   .derivative = dv},

static ms_op table[MS_OP_COUNT] = {
#define E1(name, cls, f, dx, sample, doc)                                                                                          \
  ROW(name, "x:operand", MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls), doc, sample, MS_CLASS_##cls, 1, #f, #dx)
#define E2(name, cls, f, dx, dy, def, sample, doc)                                                                                 \
  ROW(name, "x:operand y:operand|" def, MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls), doc, sample, MS_CLASS_##cls, 2, #f,          \
      #dx " " #dy)
#define E3(name, cls, f, dx, dy, dz, def, sample, doc)                                                                             \
  ROW(name, "x:operand y:operand z:operand|" def, MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls), doc, sample, MS_CLASS_##cls, 3,    \
      #f, #dx " " #dy " " #dz)
#define OP(name, flags, sig, sample, doc) ROW(name, sig, flags, doc, sample, 0, 0, NULL, NULL)
#include "elementwise.def"
#include "ops.def"
};

static const struct {
  const char *word;
  uint8_t kind;
  bool tensor;
} kinds[] = {
    {"tensors", MS_K_TENSORS, true}, {"tensor", MS_K_TENSOR, true}, {"float", MS_K_FLOAT, true}, {"operand", MS_K_OPERAND, true},
    {"inout", MS_K_INOUT, true},     {"index", MS_K_INDEX, true},   {"class", MS_K_CLASS, true}, {"int", MS_K_INT, false},
    {"size", MS_K_SIZE, false},      {"dim", MS_K_DIM, false},      {"dims", MS_K_DIMS, false},  {"position", MS_K_POSITION, false},
    {"shape", MS_K_SHAPE, false},    {"ints", MS_K_INTS, false},    {"bool", MS_K_BOOL, false},  {"scalar", MS_K_SCALAR, false},
    {"dtype", MS_K_DTYPE, false},    {"enum", MS_K_ENUM, false},
};

/* The place of `word` (length n) among "a|b|c)"; -1 when it is not there. */
static int word_at(const char *words, const char *word, size_t n) {
  for (int i = 0; *words && *words != ')'; i++) {
    size_t m = strcspn(words, "|)");
    if (m == n && !strncmp(words, word, n)) return i;
    words += m;
    if (*words == '|') words++;
  }
  return -1;
}

static double number_of(const char *s) {
  if (!strncmp(s, "math.huge", 9)) return INFINITY;
  if (!strncmp(s, "-math.huge", 10)) return -INFINITY;
  return strtod(s, NULL);
}

static void default_of(ms_arg *a, const char *s, size_t n) {
  a->has_default = true;
  if (!strncmp(s, "none", 4) && n == 4) {
    a->optional = true;
    if (a->kind == MS_K_INTS) a->value.v.n = 0;
    return;
  }
  switch (a->kind) {
  case MS_K_DIMS: a->value.v.n = -1; break; /* "all" */
  case MS_K_INTS: a->value.v = (ms_ints){.n = 1, .at = {atoll(s)}}; break;
  case MS_K_BOOL: a->value.i = *s == 't'; break;
  case MS_K_OPERAND:
  case MS_K_SCALAR: a->value.s.value = number_of(s); break;
  case MS_K_DTYPE: {
    char w[16];
    snprintf(w, sizeof w, "%.*s", (int)n, s);
    a->value.i = ms_dtype_parse(w);
    break;
  }
  case MS_K_ENUM: a->value.i = word_at(a->words, s, n); break;
  case MS_K_DIM:
  case MS_K_POSITION: a->value.i = atoll(s) > 0 ? atoll(s) - 1 : atoll(s); break; /* written as in Lua, kept as in C */
  default: a->value.i = atoll(s);
  }
}

/* Does the capital letter stand alone (not inside a name) in the derivative? */
static bool mentions(const char *s, char letter) {
  for (const char *p = s; (p = strchr(p, letter)); p++) {
    char before = p == s ? ' ' : p[-1];
    if (!strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZ", before) && !strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZ", p[1] ? p[1] : ' ')) return true;
  }
  return false;
}

static void parse(ms_op *op) {
  if (op->derivative) {
    for (int i = 0; i < op->arity; i++) op->keep_in |= (uint32_t)mentions(op->derivative, "XYZ"[i]) << i;
    op->keep_out = mentions(op->derivative, 'R');
  } else {
    op->keep_in = op->rule->keep_in, op->keep_out = op->rule->keep_out;
  }
  op->mutates = op->name[strlen(op->name) - 1] == '_';
  const char *s = op->signature;
  while (*s && *s != '|') {
    ms_arg *a = &op->arg[op->n_arg++];
    size_t n = strcspn(s, ":");
    snprintf(a->name, sizeof a->name, "%.*s", (int)n, s);
    s += n + 1;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      n = strlen(kinds[k].word);
      if (!strncmp(s, kinds[k].word, n) && strchr(" =(|", s[n]) /* also the end */) {
        a->kind = kinds[k].kind, a->is_tensor = kinds[k].tensor;
        s += n;
        break;
      }
    }
    if (*s == '(') {
      a->words = s + 1;
      s = strchr(s, ')') + 1;
    }
    if (*s == '=') {
      n = strcspn(++s, " |");
      default_of(a, s, n);
      s += n;
    }
    if (a->is_tensor) op->n_tensor++;
    else op->n_attr++;
    while (*s == ' ') s++;
  }
  if (*s == '|') /* defaults of operands: "y=0.01 z=1" */
    for (s++; *s;) {
      for (int i = 0; i < op->n_arg; i++)
        if (op->arg[i].name[0] == *s) default_of(&op->arg[i], s + 2, strcspn(s + 2, " "));
      s += strcspn(s, " ");
      while (*s == ' ') s++;
    }
}

static void parse_all(void) {
  static bool done;
  if (done) return;
  done = true;
  for (int i = 0; i < MS_OP_COUNT; i++) parse(&table[i]);
}

int ms_op_count(void) { return MS_OP_COUNT; }

const ms_op *ms_op_at(int id) {
  parse_all();
  return &table[id];
}

const ms_op *ms_op_find(const char *name) {
  parse_all();
  for (int i = 0; i < MS_OP_COUNT; i++)
    if (!strcmp(table[i].name, name)) return &table[i];
  return NULL;
}
