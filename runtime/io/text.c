/* text.c -- which bytes are UTF-8, and how a text from outside (a file, a user) is shown safely on a terminal. */
#include "io/io.h"

size_t ms_utf8_char(const char *s, size_t n, uint32_t *code) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t *b = (const uint8_t *)s;
  size_t length = b[0] < 0x80 ? 1 : b[0] >> 5 == 6 ? 2 : b[0] >> 4 == 14 ? 3 : b[0] >> 3 == 30 ? 4 : 0;
  if (!length || length > n) return 0;
  uint32_t c = length == 1 ? b[0] : b[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if (b[i] >> 6 != 2) return 0;
    c = c << 6 | (b[i] & 0x3fu);
  }
  if (c < least[length] || c > 0x10ffff || c >> 11 == 0x1b) return 0; /* 0x1b << 11 = 0xd800: surrogates */
  if (code) *code = c;
  return length;
}

bool ms_utf8(const char *s, size_t n) {
  for (size_t i = 0, k; i < n; i += k)
    if (!(k = ms_utf8_char(s + i, n - i, NULL))) return false;
  return true;
}

/* C0, DEL, C1; embeddings, overrides and isolates of the direction. */
static bool acts(uint32_t c, bool lines) {
  if (lines && (c == '\n' || c == '\t')) return false;
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t ms_visible(const char *s, size_t n, bool lines, char *out) {
  char *to = out;
  for (size_t i = 0, k; i < n; i += k) {
    uint32_t c = 0;
    k = ms_utf8_char(s + i, n - i, &c);
    if (k && !acts(c, lines)) {
      for (size_t j = 0; j < k; j++) *to++ = s[i + j];
      continue;
    }
    k += !k;
    for (size_t j = 0; j < k; j++) {
      unsigned b = (uint8_t)s[i + j];
      *to++ = '\\';
      if (b > 99) *to++ = (char)('0' + b / 100);
      if (b > 9) *to++ = (char)('0' + b / 10 % 10);
      *to++ = (char)('0' + b % 10);
    }
  }
  return (size_t)(to - out);
}
