/* csv_write.c -- tables as text, written. */
#include "data/csv.h"
#include "io/packed.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field of text: in quotes where it has a delimiter, a quote, a line end or spaces at its ends in it, is empty (a line of one
 * empty field would be none), or looks like a number (among names it would make the line one of numbers). */
static int put_text(ms_packer *w, const char *text, char delimiter) {
  const size_t n = strlen(text);
  double v;
  const char special[] = {delimiter, '"', '\n', '\r', 0};
  if (n && !strpbrk(text, special) && *text != ' ' && text[n - 1] != ' ' && !ms_csv_number(text, n, &v))
    return ms_packer_write(w, text, n);
  int rc = ms_packer_write(w, "\"", 1);
  for (const char *at = text; *at && !rc;) {
    size_t plain = strcspn(at, "\"");
    rc = ms_packer_write(w, at, plain) || (at[plain] && ms_packer_write(w, "\"\"", 2));
    at += plain + (at[plain] ? 1 : 0);
  }
  return rc || ms_packer_write(w, "\"", 1) ? -1 : 0;
}

/* As few digits as give the number back. */
static int put_float(char *out, size_t room, double v, bool wide) {
  int n = 0;
  if (v != v) return snprintf(out, room, "nan"); /* whatever its sign */
  for (int digits = wide ? 15 : 6; digits <= (wide ? 17 : 9); digits++) {
    n = snprintf(out, room, "%.*g", digits, v);
    double back = v;
    if (ms_csv_number(out, (size_t)n, &back) && (wide ? back == v : (float)back == (float)v)) break;
  }
  return n;
}

static int put_value(ms_packer *w, const ms_csv_values *c, int64_t row, char delimiter) {
  char text[40];
  int n = 0;
  if (c->texts) return put_text(w, c->texts[row], delimiter);
  const char *at = (const char *)c->data + (size_t)row * c->stride;
  switch (c->dtype) {
  case MS_F32: n = put_float(text, sizeof text, *(const float *)at, false); break;
  case MS_F64: n = put_float(text, sizeof text, *(const double *)at, true); break;
  case MS_I64: n = snprintf(text, sizeof text, "%lld", (long long)*(const int64_t *)at); break;
  case MS_I32: n = snprintf(text, sizeof text, "%d", *(const int32_t *)at); break;
  default: n = snprintf(text, sizeof text, "%d", *(const uint8_t *)at); break;
  }
  return ms_packer_write(w, text, (size_t)n);
}

int ms_csv_write(const char *path, int n, const ms_csv_values *columns, int64_t rows, char delimiter) {
  ms_packer *w = ms_packer_open(path);
  int rc = w ? 0 : -1;
  for (int k = 0; k < n && !rc && columns[0].name; k++)
    rc = put_text(w, columns[k].name, delimiter) || ms_packer_write(w, k < n - 1 ? &delimiter : "\n", 1);
  for (int64_t i = 0; i < rows && !rc; i++) {
    for (int k = 0; k < n && !rc; k++)
      rc = put_value(w, &columns[k], i, delimiter) || ms_packer_write(w, k < n - 1 ? &delimiter : "\n", 1);
    if (i % 1024 == 0 && ms_interrupted()) rc = (ms_stopped(path), -1);
  }
  if (!rc) return ms_packer_commit(w);
  ms_packer_abort(w);
  return -1;
}
