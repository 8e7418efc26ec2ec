/* signature.c -- the rows as data: tables filled from ops.def and elementwise.def, signatures parsed once at start. */
#define MS_INSIDE
#include "core.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP(name, ...) extern const ms_rule ms_rule_##name;
#define E1(name, ...) OP(name, )
#define E2(name, ...)                                                                                                              \
  OP(name, ) extern ms_plain ms_number_##name(ms_plain x, ms_plain y) __attribute__((weak)); /* NULL where there is none */
#define E3(name, ...) OP(name, )
#include "elementwise.def"
#include "ops.def"
#undef OP
#undef E1
#undef E2
#undef E3

#define CLASS_FLAGS(c)  ((c) == MS_CLASS_COMPARE || (c) == MS_CLASS_LOGIC ? MS_NO_GRAD : 0)
#define DERIVATIVE(...) __VA_ARGS__
/* The words of the columns of traits. */
enum { FIRST = 1, SECOND = 2, THIRD = 4, X = FIRST, Y = SECOND, Z = THIRD };
#define IMAGES   MS_IMAGES
#define LINEAR   MS_LINEAR
#define BILINEAR MS_BILINEAR

#define ROW(nm, sig, fl, dc, sm, cl, ar, nu, fm, dv)                                                                               \
  {.name = #nm,                                                                                                                    \
   .signature = sig,                                                                                                               \
   .doc = dc,                                                                                                                      \
   .sample = sm,                                                                                                                   \
   .rule = &ms_rule_##nm,                                                                                                          \
   .id = MS_OP_##nm,                                                                                                               \
   .flags = fl,                                                                                                                    \
   .elementwise_class = cl,                                                                                                        \
   .arity = ar,                                                                                                                    \
   .number = nu,                                                                                                                   \
   .formula = fm,                                                                                                                  \
   .derivative = {DERIVATIVE dv}},

static ms_op table[MS_OP_COUNT] = {
#define E1(name, cls, traits, f, dx, sample, doc)                                                                                  \
  ROW(name, "x:operand", MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls) | (traits), doc, sample, MS_CLASS_##cls, 1, NULL, #f, (#dx))
#define E2(name, cls, traits, f, dx, dy, def, sample, doc)                                                                         \
  ROW(name, "x:operand y:operand|" def, MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls) | (traits), doc, sample, MS_CLASS_##cls, 2,   \
      ms_number_##name, #f, (#dx, #dy))
#define E3(name, cls, traits, f, dx, dy, dz, def, sample, doc)                                                                     \
  ROW(name, "x:operand y:operand z:operand|" def, MS_ELEMENTWISE | CLASS_FLAGS(MS_CLASS_##cls) | (traits), doc, sample,            \
      MS_CLASS_##cls, 3, NULL, #f, (#dx, #dy, #dz))
#define OP(name, flags, sig, sample, doc) ROW(name, sig, flags, doc, sample, 0, 0, NULL, NULL, (NULL))
#include "elementwise.def"
#include "ops.def"
};

static const struct {
  const char *word;
  uint8_t kind;
  bool tensor;
} kinds[] = {
    {"tensors", MS_K_TENSORS, true},  {"tensor", MS_K_TENSOR, true}, {"float", MS_K_FLOAT, true},
    {"operand", MS_K_OPERAND, true},  {"inout", MS_K_INOUT, true},   {"index", MS_K_INDEX, true},
    {"class", MS_K_CLASS, true},      {"int", MS_K_INT, false},      {"size", MS_K_SIZE, false},
    {"dim", MS_K_DIM, false},         {"dims", MS_K_DIMS, false},    {"position", MS_K_POSITION, false},
    {"shape", MS_K_SHAPE, false},     {"ints", MS_K_INTS, false},    {"bool", MS_K_BOOL, false},
    {"scalar", MS_K_SCALAR, false},   {"dtype", MS_K_DTYPE, false},  {"enum", MS_K_ENUM, false},
    {"numbers", MS_K_NUMBERS, false},
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

static bool whole_number(const char *s, int64_t *v) {
  char *end;
  *v = strtoll(s, &end, 10);
  return end != s && !*end;
}

static bool any_number(const char *s, double *v) {
  char *end;
  if (!strcmp(s, "math.huge")) return *v = INFINITY, true;
  if (!strcmp(s, "-math.huge")) return *v = -INFINITY, true;
  *v = strtod(s, &end);
  return end != s && !*end;
}

/* Read the default of argument a: n characters at s. False when they are no default for an argument of its kind. */
static bool default_of(ms_arg *a, const char *s, size_t n) {
  char text[32];
  int64_t v = 0;
  if (!n || n >= sizeof text || a->has_default) return false;
  memcpy(text, s, n), text[n] = 0;
  a->has_default = true;
  const bool one = a->kind == MS_K_DIM || a->kind == MS_K_INT;
  if (!strcmp(text, "none") && (a->is_tensor || a->kind == MS_K_INTS || a->kind == MS_K_NUMBERS || a->kind == MS_K_DTYPE || one)) {
    a->optional = true;
    if (one) a->value.i = MS_NO_DIM;
    return true;
  }
  switch (a->kind) {
  case MS_K_DIMS: a->value.v.n = -1; return !strcmp(text, "all");
  case MS_K_INTS: return whole_number(text, &v) && (a->value.v = (ms_ints){.n = 1, .at = {v}}, true);
  case MS_K_BOOL: a->value.i = *text == 't'; return !strcmp(text, "true") || !strcmp(text, "false");
  case MS_K_OPERAND:
  case MS_K_SCALAR: {
    double number = 0;
    const bool is = any_number(text, &number);
    return a->value.s = ms_scalar_of(number), is;
  }
  case MS_K_DTYPE: return (a->value.i = ms_dtype_parse(text)) >= 0;
  case MS_K_ENUM: return a->words && (a->value.i = word_at(a->words, text, n)) >= 0;
  case MS_K_DIM:
  case MS_K_POSITION: return whole_number(text, &v) && v != 0 && (a->value.i = v > 0 ? v - 1 : v, true); /* as in Lua; as in C */
  case MS_K_INT: return whole_number(text, &a->value.i);
  case MS_K_SIZE: return whole_number(text, &a->value.i) && a->value.i >= 0;
  default: return false; /* a tensor, a shape */
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

/* Fill in which inputs and results the derivatives read: as the rule says; for an elementwise row, whose derivatives are written
 * out, as the letters X, Y, Z (operands) and R (result) in them say. */
static void find_reads(ms_op *op) {
  if (!op->derivative[0]) {
    op->keep_in = op->rule->keep_in, op->keep_out = op->rule->keep_out;
    for (int i = 0; i < 3; i++) op->has_reads |= (op->reads[i] = op->rule->reads[i]) != 0;
    return;
  }
  op->has_reads = true;
  for (int i = 0; i < op->arity; i++) {
    for (int k = 0; k < 4; k++) op->reads[i] |= (uint8_t)(mentions(op->derivative[i], "XYZR"[k]) << k);
    op->keep_in |= op->reads[i] & 7, op->keep_out |= op->reads[i] >> 3;
  }
}

static int bad_signature(const ms_op *op, const char *at, const char *what) {
  return ms_fail("row %s: \"%s\": %s at \"%.24s\"", op->name, op->signature, what, at), -1;
}

/* Read the argument that begins at *s, "name:kind" or "name:kind=default", and move *s behind it. */
static int parse_argument(ms_op *op, ms_arg *a, const char **s) {
  const char *from = *s, *p = from;
  size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");
  if (!n || n >= sizeof a->name) return bad_signature(op, from, "expected a name of 1 to 19 letters");
  if (p[n] != ':') return bad_signature(op, p + n, "expected a colon behind the name");
  for (const ms_arg *b = op->arg; b < a; b++)
    if (strlen(b->name) == n && !strncmp(b->name, p, n)) return bad_signature(op, from, "a name that was there");
  snprintf(a->name, sizeof a->name, "%.*s", (int)n, p);
  p += n + 1;
  n = strcspn(p, " =(|");
  bool known = false;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds && !known; k++)
    if ((known = strlen(kinds[k].word) == n && !strncmp(p, kinds[k].word, n)))
      a->kind = kinds[k].kind, a->is_tensor = kinds[k].tensor;
  if (!known) return bad_signature(op, p, "an unknown kind");
  p += n;
  if (a->kind == MS_K_ENUM ? *p != '(' : *p == '(' && a->kind != MS_K_INTS)
    return bad_signature(op, p, "words in brackets belong to an enum, which has some, or to ints");
  if (*p == '(') {
    a->words = ++p;
    if (!(p = strchr(p, ')')) || p == a->words) return bad_signature(op, a->words, "expected words and a closing bracket");
    p++;
  }
  if (*p == '=') {
    n = strcspn(++p, " |");
    if (!default_of(a, p, n)) return bad_signature(op, p, "no default for an argument of this kind");
    p += n;
  }
  if (*p && *p != ' ' && *p != '|') return bad_signature(op, p, "expected a blank");
  *s = p;
  return 0;
}

/* What is said of the operand with the letter *s: n characters, "y=0.01", "y:name=0.01" or "y:name". */
static int parse_operand(ms_op *op, const char *s, size_t n) {
  ms_arg *a = NULL;
  for (int i = 0; i < op->n_arg; i++)
    if (op->arg[i].name[0] == *s && !op->arg[i].name[1]) a = &op->arg[i];
  if (!a || n < 2) return -1;
  const char *p = s + 1;
  if (*p == ':') {
    const size_t m = strspn(++p, "abcdefghijklmnopqrstuvwxyz_0123456789");
    if (m < 2 || m >= sizeof a->name) return -1;
    snprintf(a->name, sizeof a->name, "%.*s", (int)m, p);
    p += m;
    if (p == s + n) return 0;
  }
  return *p == '=' && default_of(a, p + 1, n - (size_t)(p + 1 - s)) ? 0 : -1;
}

int ms_signature_parse(ms_op *op) {
  const char *s = op->signature;
  op->mutates = op->name[strlen(op->name) - 1] == '_';
  while (*s && *s != '|') {
    if (op->n_arg == MS_MAX_ARGS) return bad_signature(op, s, "more arguments than there can be");
    ms_arg *a = &op->arg[op->n_arg];
    if (parse_argument(op, a, &s) < 0) return -1;
    for (int k = 0; k < op->n_arg && a->is_tensor; k++)
      if (op->arg[k].kind == MS_K_TENSORS) return bad_signature(op, s, "a tensor behind a list of them");
    op->n_arg++;
    if (a->is_tensor) op->n_tensor++;
    else op->n_attr++;
    s += strspn(s, " ");
  }
  if (*s == '|') /* names and defaults of operands: "y=0.01 z:max=1" */
    for (s++; *s; s += strspn(s, " ")) {
      const size_t n = strcspn(s, " ");
      if (parse_operand(op, s, n) < 0) return bad_signature(op, s, "no default of an operand, nor a name");
      s += n;
    }
  return 0;
}

/* A row that cannot be read is a mistake in the source: the program says so and ends. */
static void parse_all(void) {
  static bool done;
  if (done) return;
  done = true;
  for (int i = 0; i < MS_OP_COUNT; i++) {
    if (ms_signature_parse(&table[i]) < 0) {
      fprintf(stderr, "mascon: ops.def, elementwise.def: %s\n", ms_error());
      abort();
    }
    find_reads(&table[i]);
  }
}

int ms_op_count(void) { return MS_OP_COUNT; }

const ms_op *ms_op_at(int id) {
  parse_all();
  return &table[id];
}
