/* elementwise_template.h -- the loops of elementwise.c: a formula `of` for each of n elements. A template: the includer defines T,
 * the type of the operands, OTHER, the type of the result (for each1, each2) or of the first operand (for each3), and G(name) (the
 * name for these types). p: operands, the result first; s: their strides in elements.
 *
 * `of` is a constant in every use and is inlined. The usual layouts have loops of their own, which gcc vectorises: all operands
 * contiguous, or some of them one element for all. */

WRAPS static ALWAYS_INLINE void G(each1)(int64_t n, char *const *p, const int64_t *s, OTHER (*of)(T)) {
  OTHER *o = (OTHER *)p[0];
  const T *a = (const T *)p[1];
  if (s[0] == 1 && s[1] == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i]);
  } else {
    for (int64_t i = 0; i < n; i++) o[i * s[0]] = of(a[i * s[1]]);
  }
}

WRAPS static ALWAYS_INLINE void G(each2)(int64_t n, char *const *p, const int64_t *s, OTHER (*of)(T, T)) {
  OTHER *o = (OTHER *)p[0];
  const T *a = (const T *)p[1], *b = (const T *)p[2];
  if (s[0] == 1 && s[1] == 1 && s[2] == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], b[i]);
  } else if (s[0] == 1 && s[1] == 1 && s[2] == 0) {
    const T y = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], y);
  } else if (s[0] == 1 && s[1] == 0 && s[2] == 1) {
    const T x = *a;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(x, b[i]);
  } else {
    for (int64_t i = 0; i < n; i++) o[i * s[0]] = of(a[i * s[1]], b[i * s[2]]);
  }
}

WRAPS static ALWAYS_INLINE void G(each3)(int64_t n, char *const *p, const int64_t *s, T (*of)(OTHER, T, T)) {
  T *o = (T *)p[0];
  const OTHER *a = (const OTHER *)p[1];
  const T *b = (const T *)p[2], *c = (const T *)p[3];
  const bool along = s[0] == 1 && s[1] == 1;
  if (along && s[2] == 1 && s[3] == 1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], b[i], c[i]);
  } else if (along && s[2] == 1 && s[3] == 0) {
    const T z = *c;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], b[i], z);
  } else if (along && s[2] == 0 && s[3] == 1) {
    const T y = *b;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], y, c[i]);
  } else if (along && s[2] == 0 && s[3] == 0) {
    const T y = *b, z = *c;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) o[i] = of(a[i], y, z);
  } else {
    for (int64_t i = 0; i < n; i++) o[i * s[0]] = of(a[i * s[1]], b[i * s[2]], c[i * s[3]]);
  }
}
