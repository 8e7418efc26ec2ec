/* digest.h -- MD5 (RFC 1321) and SHA-256 (FIPS 180-4) of bytes that come in pieces, to tell whether a file is the one that was
 * meant. (MD5 is what data sets are published with: it finds what was damaged or mistaken, not what somebody forged.) */
#ifndef MASCON_DIGEST_H
#define MASCON_DIGEST_H
#include <stddef.h>
#include <stdint.h>

typedef enum ms_digest_kind { MS_MD5, MS_SHA256 } ms_digest_kind;

typedef struct ms_digest {
  ms_digest_kind kind;
  uint64_t bytes; /* so far */
  uint32_t state[8];
  uint8_t block[64];
} ms_digest;

void ms_digest_begin(ms_digest *d, ms_digest_kind kind);
void ms_digest_add(ms_digest *d, const void *bytes, size_t n);
/* 32 or 64 hexadecimal digits and a '\0'. */
void ms_digest_end(ms_digest *d, char *out);
/* Of a plain file; 0, or -1 after ms_fail. */
int ms_digest_file(const char *path, ms_digest_kind kind, char *out);

#endif
