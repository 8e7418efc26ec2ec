/* digest.c -- MD5 and SHA-256. */
#include "io/digest.h"
#include "io/source.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint32_t left(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint32_t right(uint32_t x, int n) { return x >> n | x << (32 - n); }
static uint32_t little(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }
static uint32_t big(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void md5_block(uint32_t *s, const uint8_t *p) {
  static const uint8_t turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  uint32_t a = s[0], b = s[1], c = s[2], d = s[3];
  for (int i = 0; i < 64; i++) {
    const int round = i / 16;
    const uint32_t f = round == 0 ? (b & c) | (~b & d) : round == 1 ? (d & b) | (~d & c) : round == 2 ? b ^ c ^ d : c ^ (b | ~d);
    const int word = round == 0 ? i : round == 1 ? 5 * i + 1 : round == 2 ? 3 * i + 5 : 7 * i;
    const uint32_t sine = (uint32_t)(int64_t)floor(fabs(sin(i + 1)) * 4294967296.0);
    const uint32_t next = b + left(a + f + sine + little(p + 4 * (word & 15)), turns[round][i & 3]);
    a = d, d = c, c = b, b = next;
  }
  s[0] += a, s[1] += b, s[2] += c, s[3] += d;
}

static void sha256_block(uint32_t *s, const uint8_t *p) {
  static const uint32_t k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
                                 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
                                 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
                                 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
                                 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
                                 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
                                 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
                                 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) w[i] = big(p + 4 * i);
  for (int i = 16; i < 64; i++) {
    const uint32_t x = w[i - 15], y = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (right(x, 7) ^ right(x, 18) ^ x >> 3) + (right(y, 17) ^ right(y, 19) ^ y >> 10);
  }
  memcpy(v, s, sizeof v);
  for (int i = 0; i < 64; i++) {
    const uint32_t a = v[0], e = v[4];
    const uint32_t one = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
    const uint32_t two = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) s[i] += v[i];
}

void ms_digest_begin(ms_digest *d, ms_digest_kind kind) {
  static const uint32_t first[2][8] = {
      {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
      {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
  *d = (ms_digest){.kind = kind};
  memcpy(d->state, first[kind], sizeof d->state);
}

void ms_digest_add(ms_digest *d, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  while (n) {
    const size_t at = d->bytes % 64, room = 64 - at < n ? 64 - at : n;
    memcpy(d->block + at, p, room);
    d->bytes += room;
    p += room;
    n -= room;
    if (d->bytes % 64 == 0) (d->kind == MS_MD5 ? md5_block : sha256_block)(d->state, d->block);
  }
}

void ms_digest_end(ms_digest *d, char *out) {
  const uint64_t bits = d->bytes * 8;
  const int words = d->kind == MS_MD5 ? 4 : 8;
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (d->kind == MS_MD5 ? 8 * i : 56 - 8 * i));
  ms_digest_add(d, "\x80", 1);
  while (d->bytes % 64 != 56) ms_digest_add(d, "", 1);
  ms_digest_add(d, length, 8);
  for (int i = 0; i < words; i++) {
    const uint32_t w = d->kind == MS_MD5 ? __builtin_bswap32(d->state[i]) : d->state[i];
    snprintf(out + 8 * i, 9, "%08x", w);
  }
}

int ms_digest_file(const char *path, ms_digest_kind kind, char *out) {
  uint8_t piece[1 << 16];
  ms_source s;
  ms_digest d;
  int64_t n = ms_source_file(&s, path) ? -1 : 1;
  ms_digest_begin(&d, kind);
  while (n > 0 && (n = ms_source_read(&s, piece, sizeof piece)) > 0) ms_digest_add(&d, piece, (size_t)n);
  ms_source_close(&s);
  if (n < 0) return -1;
  ms_digest_end(&d, out);
  return 0;
}
