/* csv.c -- tables as text, read in two passes: the first finds the columns, what they are, and how many rows there are; the second
 * converts them to where they belong. Fields are looked at in a window over the file, so that memory goes to results only. */
#define _GNU_SOURCE /* strtod_l */
#include "data/csv.h"
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WINDOW = 1 << 20, MOST_COLUMNS = 1 << 18 };

/* ---- fields ------------------------------------------------------------------------------------------------------ */

typedef struct scan {
  ms_source s;
  char *buf;
  size_t room;     /* of the window */
  size_t at, end;  /* of what is in the window and not looked at */
  bool over;       /* the file ends behind it */
  bool stops[256]; /* bytes that may end a field without quotes; one stands behind the window */
  char delimiter;
  uint64_t line;  /* the current one, from 1 */
  int64_t column; /* fields of this record so far */
  char *field;    /* the last one, */
  size_t n;       /* so many bytes; no '\0' behind them */
  bool quoted;
  const char *name;
} scan;

static int scan_open(scan *c, const ms_file *f, char delimiter) {
  *c = (scan){.delimiter = delimiter, .line = 1, .name = f->name};
  c->s.fd = -1;
  if (ms_file_source(f, &c->s)) return -1;
  c->room = c->s.gz || c->s.size >= WINDOW ? WINDOW : (size_t)c->s.size + 1; /* the end is noticed by a byte that does not come */
  if (!(c->buf = malloc(c->room + 1))) return ms_fail("%s: out of memory", f->name), -1;
  return 0;
}

static void set_delimiter(scan *c, char delimiter) {
  memset(c->stops, 0, sizeof c->stops);
  c->stops[0] = c->stops['\n'] = c->stops['\r'] = c->stops[(uint8_t)delimiter] = true;
  c->delimiter = delimiter;
}

static void scan_close(scan *c) {
  ms_source_close(&c->s);
  free(c->buf);
}

/* More bytes behind those from `from` on, which move to the front of the window. 1 = some, 0 = the end, -1 = failed. */
static int more(scan *c, size_t *from) {
  if (c->over) return 0;
  memmove(c->buf, c->buf + *from, c->end - *from);
  c->at -= *from, c->end -= *from;
  *from = 0;
  if (c->end == c->room)
    return ms_fail("%s: line %llu: a field of more than %d bytes", c->name, (unsigned long long)c->line, WINDOW), -1;
  int64_t got = ms_source_read(&c->s, c->buf + c->end, c->room - c->end);
  if (got < 0) return -1;
  c->end += (size_t)got;
  c->buf[c->end] = '\n';
  c->over = !got;
  return got > 0;
}

static int bad_field(const scan *c, uint64_t line, const char *why) {
  ms_fail("%s: line %llu, column %lld: %s", c->name, (unsigned long long)line, (long long)c->column + 1, why);
  return -1;
}

#define ZERO "expected text without zero bytes"

/* The rest of a field in quotes, whose first is behind us: unescaped in place. */
static int quoted_field(scan *c) {
  const uint64_t line = c->line;
  size_t from = c->at, to = c->at; /* the field begins at `from`, is unescaped up to `to` */
  for (;;) {
    if (c->at == c->end) {
      const size_t had = to - from;
      int rc = more(c, &from);
      if (rc < 0) return -1;
      if (!rc) return bad_field(c, line, "a quote is not closed");
      to = from + had;
    }
    char ch = c->buf[c->at++];
    if (ch == '"') {
      const size_t had = to - from;
      if (c->at == c->end && more(c, &from) < 0) return -1;
      to = from + had;
      if (c->at == c->end || c->buf[c->at] != '"') break;
      c->at++;
    }
    if (ch == '\n') c->line++;
    if (!ch) return bad_field(c, c->line, ZERO);
    c->buf[to++] = ch; /* in front of a gap, which moves along when the window does */
  }
  c->field = c->buf + from;
  c->n = to - from;
  c->quoted = true;
  return 0;
}

/* The next field. 1: others of the record follow; 2: it is the last one; 0: there are no more records; -1 after ms_fail. */
static int next_field(scan *c) {
  size_t from = c->at;
  if (c->at == c->end && more(c, &from) < 0) return -1;
  if (c->at == c->end) {
    if (!c->column) return 0;
    c->field = c->buf, c->n = 0, c->quoted = false; /* "a," and the end: an empty one behind the comma */
    return 2;
  }
  if (c->buf[c->at] == '"') {
    c->at++;
    if (quoted_field(c)) return -1;
  } else {
    for (;;) {
      const char *p = c->buf + c->at;
      while (!c->stops[(uint8_t)*p]) p++;
      c->at = (size_t)(p - c->buf);
      if (c->at < c->end) break;
      int rc = more(c, &from);
      if (rc < 0) return -1;
      if (!rc) break;
    }
    c->field = c->buf + from;
    c->n = c->at - from;
    c->quoted = false;
  }
  size_t begin = (size_t)(c->field - c->buf);
  if (c->end - c->at < 2) { /* a line end has up to two bytes */
    if (more(c, &begin) < 0) return -1;
    c->field = c->buf + begin;
  }
  if (c->at == c->end) return 2;
  char ch = c->buf[c->at++];
  if (ch == c->delimiter) return 1;
  if (!ch) return bad_field(c, c->line, ZERO);
  if (ch == '\r' && c->at < c->end && c->buf[c->at] == '\n') ch = c->buf[c->at++];
  if (ch != '\n' && ch != '\r') return bad_field(c, c->line, "expected a delimiter or the end of the line behind a quoted field");
  c->line++;
  return 2;
}

/* Pass over empty lines. */
static int skip_empty(scan *c) {
  size_t from = c->at;
  for (;; from = c->at) {
    if (c->at == c->end) {
      int rc = more(c, &from);
      if (rc <= 0) return rc;
    }
    char ch = c->buf[c->at];
    if (ch != '\n' && ch != '\r') return 0;
    if (ch == '\n') c->line++;
    c->at++;
  }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static bool trim(const char **text, size_t *n) {
  while (*n && (**text == ' ' || **text == '\t')) ++*text, --*n;
  while (*n && ((*text)[*n - 1] == ' ' || (*text)[*n - 1] == '\t')) --*n;
  return *n > 0;
}

static bool is_word(const char *text, size_t n, const char *word) { return strlen(word) == n && !strncasecmp(text, word, n); }

/* What the fast way leaves: many digits, large exponents, words. */
static bool slow_number(const char *text, size_t n, double *v) {
  char copy[512], *end;
  const bool sign = *text == '-' || *text == '+';
  if (is_word(text + sign, n - sign, "nan")) return *v = NAN, true;
  if (is_word(text + sign, n - sign, "inf") || is_word(text + sign, n - sign, "infinity"))
    return *v = *text == '-' ? -INFINITY : INFINITY, true;
  if (n >= sizeof copy) return false;
  for (size_t i = 0; i < n; i++)
    if (!isdigit((unsigned char)text[i]) && !strchr("+-.eE", text[i])) return false; /* no hexadecimal, no words */
  memcpy(copy, text, n);
  copy[n] = 0;
  static locale_t plain;
  if (!plain) plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  *v = strtod_l(copy, &end, plain);
  return end == copy + n;
}

bool ms_csv_number(const char *text, size_t n, double *v) {
  static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (!trim(&text, &n)) return false;
  const char *p = text, *end = text + n;
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') p++;
  uint64_t digits = 0;
  int count = 0, after = 0;
  for (; p < end && (unsigned)(*p - '0') < 10; p++, count++) digits = digits * 10 + (unsigned)(*p - '0');
  if (p < end && *p == '.')
    for (p++; p < end && (unsigned)(*p - '0') < 10; p++, count++, after++) digits = digits * 10 + (unsigned)(*p - '0');
  /* Up to 2^53 and 10^22 both are exact, and their quotient is rounded once (Clinger, 1990). */
  if (p != end || !count || count > 18 || digits > (uint64_t)1 << 53) return slow_number(text, n, v);
  *v = (double)digits / ten[after];
  if (negative) *v = -*v;
  return true;
}

static bool is_missing(const char *text, size_t n) {
  static const char *const words[] = {"NA", "N/A", "null", "NULL", "None"};
  if (!trim(&text, &n)) return true;
  for (size_t i = 0; i < sizeof words / sizeof *words && *text >= 'N'; i++)
    if (strlen(words[i]) == n && !memcmp(text, words[i], n)) return true;
  return false;
}

/* ---- first pass -------------------------------------------------------------------------------------------------- */

typedef enum kind { UNKNOWN, NUMBERS, TEXT, UNUSED } kind;

typedef struct column {
  char *name; /* NULL: there is no line of names */
  kind kind;
  int64_t place; /* among the numeric ones, or its item */
  size_t bytes;  /* of its texts, each with its '\0' */
  char *text;    /* those, one after the other, once read */
  const char **texts;
  size_t used;
} column;

typedef struct csv_file {
  ms_csv_options o;
  bool has_header, filled;
  int64_t rows, numeric;
  int n;
  column *columns;
} csv_file;

static char *copy_field(const char *text, size_t n) {
  trim(&text, &n);
  char *copy = malloc(n + 1);
  if (copy) memcpy(copy, text, n), copy[n] = 0;
  return copy;
}

/* Say where a field is: line, column, and the column's name. */
static int complain(const scan *c, const csv_file *p, uint64_t line, const char *why) {
  const char *name = c->column < p->n && p->columns[c->column].name ? p->columns[c->column].name : "";
  const int n = c->n < 40 ? (int)c->n : 40;
  ms_fail("%s: line %llu, column %lld%s%s%s: %s, got '%.*s'", c->name, (unsigned long long)line, (long long)c->column + 1,
          *name ? " ('" : "", name, *name ? "')" : "", why, n, c->field ? c->field : "");
  return -1;
}

static char find_delimiter(const char *text, size_t n, bool *any) {
  int tabs = 0, commas = 0, semicolons = 0;
  bool in_quotes = false;
  for (size_t i = 0; i < n && (in_quotes || (text[i] != '\n' && text[i] != '\r')); i++) {
    if (text[i] == '"') in_quotes = !in_quotes;
    tabs += !in_quotes && text[i] == '\t', commas += !in_quotes && text[i] == ',', semicolons += !in_quotes && text[i] == ';';
  }
  *any = tabs || commas || semicolons;
  return commas ? ',' : tabs ? '\t' : semicolons ? ';' : ',';
}

/* The first record: how many columns, and (where it is one of names) what they are called. */
static int first_record(scan *c, const ms_file *f, csv_file *p) {
  size_t from = c->at;
  bool any, numbers = false, missing = true;
  if (c->at == c->end && more(c, &from) < 0) return -1;
  if (c->end - c->at >= 3 && !memcmp(c->buf + c->at, "\xef\xbb\xbf", 3)) c->at += 3; /* Windows' mark of UTF-8 */
  if (skip_empty(c)) return -1;
  set_delimiter(c, c->delimiter ? c->delimiter : find_delimiter(c->buf + c->at, c->end - c->at, &any));
  int room = 0, rc;
  do {
    rc = next_field(c);
    double v;
    if (rc < 0) return -1;
    if (!rc) return ms_fail("%s: there is no line in it", f->name), -1;
    if (p->n == MOST_COLUMNS) return ms_fail("%s: more than %d columns", f->name, MOST_COLUMNS), -1;
    if (p->n == room) {
      room = 2 * room + 16;
      column *list = realloc(p->columns, (size_t)room * sizeof *list);
      if (!list) return ms_fail("%s: out of memory", f->name), -1;
      p->columns = list;
    }
    p->columns[p->n] = (column){.name = copy_field(c->field, c->n)};
    if (!p->columns[p->n].name) return ms_fail("%s: out of memory", f->name), -1;
    numbers |= !c->quoted && ms_csv_number(c->field, c->n, &v);
    missing &= !c->quoted && is_missing(c->field, c->n);
    p->n++, c->column++;
  } while (rc == 1);
  p->has_header = p->o.header < 0 ? !numbers && !missing : p->o.header; /* (nothing but missing values names nothing) */
  for (int k = 0; k < p->n && !p->has_header; k++) free(p->columns[k].name), p->columns[k].name = NULL;
  return 0;
}

/* The column that a user means; -1 after ms_fail. */
static int find_column(const ms_file *f, const csv_file *p, const ms_csv_column *want) {
  int found = -1;
  if (!want->name && want->place >= 1 && want->place <= p->n) return (int)want->place - 1;
  if (!want->name) return ms_fail("%s: there is no column %lld: expected 1..%d", f->name, (long long)want->place, p->n), -1;
  for (int k = 0; k < p->n; k++) {
    if (!p->columns[k].name || strcmp(p->columns[k].name, want->name) != 0) continue;
    if (found >= 0) return ms_fail("%s: two columns of the name '%s': name them by their places", f->name, want->name), -1;
    found = k;
  }
  if (found < 0) ms_fail("%s: there is no column '%s'%s", f->name, want->name, p->has_header ? "" : ": there is no line of names");
  return found;
}

static int choose(const ms_file *f, csv_file *p) {
  for (int k = 0; k < p->n && p->o.n_columns; k++) p->columns[k].kind = UNUSED;
  for (int i = 0; i < p->o.n_columns; i++) {
    int k = find_column(f, p, &p->o.columns[i]);
    if (k < 0) return -1;
    p->columns[k].kind = UNKNOWN;
  }
  for (int i = 0; i < p->o.n_text; i++) {
    int k = find_column(f, p, &p->o.text[i]);
    if (k < 0) return -1;
    if (p->columns[k].kind != UNUSED) p->columns[k].kind = TEXT;
  }
  for (int k = 0; k < p->n && p->o.all_text; k++)
    if (p->columns[k].kind != UNUSED) p->columns[k].kind = TEXT;
  return 0;
}

/* Does a field look like a number at first sight? The second pass converts it. */
static bool looks_numeric(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((unsigned)(text[i] - '0') >= 10 && text[i] != '.' && text[i] != '-') return false;
  return true;
}

#define NO_NUMBER "expected a number as in the lines before (or name the column in the option text)"
#define MISSING   "a number is missing (missing = \"error\")"

static int look_at(scan *c, csv_file *p, uint64_t line) {
  column *col = &p->columns[c->column];
  double v;
  if (col->kind == UNUSED) return 0;
  if (col->kind == NUMBERS && looks_numeric(c->field, c->n)) return 0;
  if (col->kind != TEXT && !is_missing(c->field, c->n)) {
    const bool number = ms_csv_number(c->field, c->n, &v);
    if (col->kind == NUMBERS && !number) return complain(c, p, line, NO_NUMBER);
    col->kind = number ? NUMBERS : TEXT;
  } else if (col->kind != TEXT && p->o.strict) {
    return complain(c, p, line, MISSING);
  }
  if (col->kind != NUMBERS) col->bytes += c->n + 1;
  return 0;
}

/* Walk over all records behind the line of names; each field goes to `take`. */
static int walk(scan *c, csv_file *p, int (*take)(scan *, csv_file *, uint64_t line)) {
  for (int64_t rows = 0;; rows++) {
    uint64_t line;
    int rc;
    c->column = 0;
    if (skip_empty(c)) return -1;
    line = c->line;
    while ((rc = next_field(c)) == 1 || rc == 2) {
      if (c->column >= p->n || (rc == 2 && c->column < p->n - 1)) {
        int64_t n = c->column + 1;
        for (; rc == 1 && n < MOST_COLUMNS; n++) rc = next_field(c);
        if (rc < 0) return -1;
        return ms_fail("%s: line %llu: expected %d fields, as in the first line, got %s%lld", c->name, (unsigned long long)line,
                       p->n, rc == 1 ? "more than " : "", (long long)n),
               -1;
      }
      if (take(c, p, line)) return -1;
      c->column++;
      if (rc == 2) break;
    }
    if (rc < 0) return -1;
    if (!rc) return p->rows = rows, 0;
  }
}

/* To the first record that is no names. */
static int begin(scan *c, const ms_file *f, csv_file *p, bool first) {
  if (scan_open(c, f, p->o.delimiter)) return -1;
  csv_file again = {.o = p->o};
  int rc = first_record(c, f, first ? p : &again);
  if (!rc && !first && again.n != p->n) rc = (ms_fail("%s: it changed while it was read", f->name), -1);
  if (!rc && !p->has_header) { /* from the start */
    p->o.delimiter = c->delimiter;
    scan_close(c);
    if (scan_open(c, f, p->o.delimiter)) rc = -1;
    set_delimiter(c, p->o.delimiter);
    size_t from = 0;
    if (!rc && more(c, &from) < 0) rc = -1;
    if (!rc && c->end >= 3 && !memcmp(c->buf, "\xef\xbb\xbf", 3)) c->at = 3;
  }
  for (int k = 0; k < again.n; k++) free(again.columns[k].name);
  free(again.columns);
  return rc;
}

/* Items: the numbers, then each column of texts. */
static int make_items(ms_file *f, csv_file *p) {
  char place[24];
  ms_content *it = ms_file_add(f, NULL);
  if (!it || !(f->columns = calloc((size_t)p->n + 1, sizeof *f->columns)))
    return ms_error() ? -1 : (ms_fail("%s: out of memory", f->name), -1);
  f->numbered = !p->has_header;
  for (int k = 0; k < p->n; k++) {
    column *col = &p->columns[k];
    snprintf(place, sizeof place, "%d", k + 1);
    const char *name = p->has_header ? col->name : place;
    if (col->kind == UNKNOWN) col->kind = NUMBERS; /* all are missing */
    if (col->kind == NUMBERS) {
      if (!(f->columns[f->n_columns++] = strdup(name))) return ms_fail("%s: out of memory", f->name), -1;
      col->place = p->numeric++;
    } else if (col->kind == TEXT) {
      for (int j = 1; j < f->n; j++)
        if (!strcmp(f->items[j].name, name)) return ms_fail("%s: two columns of texts have the name '%s'", f->name, name), -1;
      if (!(it = ms_file_add(f, name))) return -1;
      it->texts = true;
      it->rank = 1;
      it->shape[0] = p->rows;
      it->place = (uint64_t)k;
    }
  }
  f->items[0].dtype = p->o.dtype;
  f->items[0].rank = 2;
  f->items[0].shape[0] = p->rows, f->items[0].shape[1] = p->numeric;
  return 0;
}

static int open_csv(ms_file *f) {
  csv_file *p = f->private = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", f->name), -1;
  p->o = f->options ? *(const ms_csv_options *)f->options : (ms_csv_options){.header = -1, .dtype = MS_F32};
  scan c;
  int rc = begin(&c, f, p, true) || choose(f, p) || walk(&c, p, look_at) ? -1 : 0;
  p->o.delimiter = c.delimiter;
  const uint64_t size = c.s.size;
  scan_close(&c);
  if (rc || make_items(f, p)) return -1;
  if (ms_content_count(&f->items[0]) < 0) return ms_fail("%s: absurd sizes", f->name), -1;
  return ms_file_allow(f, size, 0);
}

/* ---- second pass ------------------------------------------------------------------------------------------------- */

typedef struct filling {
  scan c; /* first: the one is cast to the other */
  void *out;
  int64_t row;
} filling;

/* Is v infinite in this dtype, though it is written with digits? */
static bool too_large(const scan *c, double v, ms_dtype dtype) {
  if (isfinite(dtype == MS_F64 ? v : (double)(float)v) || isnan(v)) return false;
  for (size_t i = 0; i < c->n; i++)
    if (isdigit((unsigned char)c->field[i])) return true;
  return false;
}

static int put_field(scan *c, csv_file *p, uint64_t line) {
  filling *g = (filling *)c;
  column *col = &p->columns[c->column];
  if (!c->column) g->row++;
  if (g->row > p->rows) return complain(c, p, line, "it changed while it was read: expected no more lines");
  if (col->kind == NUMBERS && g->out) {
    double v = NAN;
    if (!ms_csv_number(c->field, c->n, &v)) {
      if (!is_missing(c->field, c->n)) return complain(c, p, line, NO_NUMBER);
      if (p->o.strict) return complain(c, p, line, MISSING);
    }
    if (too_large(c, v, p->o.dtype))
      return complain(c, p, line,
                      p->o.dtype == MS_F64 ? "a number too large for f64" : "a number too large for f32 (dtype = \"f64\")");
    const int64_t at = (g->row - 1) * p->numeric + col->place;
    if (p->o.dtype == MS_F64) ((double *)g->out)[at] = v;
    else ((float *)g->out)[at] = (float)v;
  } else if (col->kind == TEXT) {
    if (col->bytes - col->used < c->n + 1) return complain(c, p, line, "it changed while it was read: expected less text");
    char *to = col->text + col->used;
    memcpy(to, c->field, c->n);
    to[c->n] = 0;
    col->texts[g->row - 1] = to;
    col->used += c->n + 1;
  }
  return 0;
}

static int fill(ms_file *f, void *out) {
  csv_file *p = f->private;
  const int64_t rows = p->rows;
  filling g = {.out = out};
  for (int k = 0; k < p->n; k++) {
    column *col = &p->columns[k];
    if (col->kind != TEXT) continue;
    col->used = 0;
    if (!col->text) col->text = malloc(col->bytes + 1);
    if (!col->texts) col->texts = calloc((size_t)rows + 1, sizeof *col->texts);
    if (!col->text || !col->texts) return ms_fail("%s: out of memory", f->name), -1;
  }
  int rc = begin(&g.c, f, p, false) || walk(&g.c, p, put_field) ? -1 : 0;
  scan_close(&g.c);
  if (!rc && p->rows != rows) rc = (ms_fail("%s: it became shorter while it was read", f->name), -1);
  p->rows = rows;
  p->filled = !rc;
  return rc;
}

static int read_csv(ms_file *f, int k, void *out) {
  csv_file *p = f->private;
  if (!k) return fill(f, out);
  if (!p->filled && fill(f, NULL)) return -1;
  const column *col = &p->columns[f->items[k].place];
  if (p->rows) memcpy(out, col->texts, (size_t)p->rows * sizeof *col->texts);
  return 0;
}

static void close_csv(ms_file *f) {
  csv_file *p = f->private;
  for (int k = 0; p && k < p->n; k++) {
    free(p->columns[k].name);
    free(p->columns[k].text);
    free(p->columns[k].texts);
  }
  if (p) free(p->columns);
  free(p);
}

/* Text of which the first line has a delimiter, or the first or second one is a number. JSON, XML and the like begin otherwise. */
static bool is(const uint8_t *head, size_t n, uint64_t size) {
  const char *text = (const char *)head, *end = text + n;
  bool any;
  double v;
  (void)size;
  for (size_t i = 0; i < n; i++)
    if ((head[i] < 32 && head[i] != '\n' && head[i] != '\r' && head[i] != '\t') || head[i] == 127) return false;
  if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3;
  while (text < end && (*text == '\n' || *text == '\r')) text++;
  if (text == end || strchr("{[<#", *text)) return false;
  find_delimiter(text, (size_t)(end - text), &any);
  for (int k = 0; k < 2 && !any && text < end; k++) {
    const char *stop = text;
    while (stop < end && *stop != '\n' && *stop != '\r') stop++;
    any = ms_csv_number(text, (size_t)(stop - text), &v);
    for (text = stop; text < end && (*text == '\n' || *text == '\r');) text++;
  }
  return any;
}

const ms_format ms_format_csv = {
    .name = "CSV", .what = "CSV", .gzipped = true, .is = is, .open = open_csv, .read = read_csv, .close = close_csv};
