/* sort_template.h -- sort.c's work on one line of items. A template: the includer defines ITEM (the type of an item), G(name) (the
 * name for that type) and KEY_BYTES. It has made G(key), G(position), G(less) for that type. */

/* Make the items of elements first .. end-1 of a line from the keys of its dtype. */
typedef void (*G(fill_fn))(ITEM *item, const void *x, int64_t step, int64_t first, int64_t end, uint64_t flip);

static void G(insertion_sort)(ITEM *a, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    const ITEM v = a[i];
    int64_t j = i;
    for (; j > 0 && G(less)(v, a[j - 1]); j--) a[j] = a[j - 1];
    a[j] = v;
  }
}

static inline uint32_t G(digit)(ITEM a, int byte) { return G(key)(a) >> 8 * byte & 255; }

/* Move the items to the places that their digit gives them; next[d]: the place of the next item with digit d. Interrupted it stops,
 * and gives false. */
static bool G(distribute)(const ITEM *from, ITEM *to, int64_t n, int byte, uint32_t *next) {
  for (int64_t i = 0; i < n;) {
    const int64_t end = min_i64(n, i + INTERRUPT_EVERY);
    for (; i < end; i++) to[next[G(digit)(from[i], byte)]++] = from[i];
    if (i < n && ms_interrupted()) return false;
  }
  return true;
}

/* By the bytes of the keys, from the lowest up; a pass leaves equal digits in the order in which they came. Interrupted, a[] holds
 * the items in some order. spare: room for n items. */
static void G(radix_sort)(ITEM *a, ITEM *spare, int64_t n) {
  uint32_t count[KEY_BYTES][256] = {0};
  for (int64_t i = 0; i < n; i++)
    for (int byte = 0; byte < KEY_BYTES; byte++) count[byte][G(digit)(a[i], byte)]++;
  ITEM *from = a, *to = spare;
  for (int byte = 0; byte < KEY_BYTES; byte++) {
    uint32_t *next = count[byte], sum = 0;
    if (next[G(digit)(a[0], byte)] == n) continue; /* all have this digit */
    for (int d = 0; d < 256; d++) {
      const uint32_t here = next[d];
      next[d] = sum, sum += here;
    }
    if (!G(distribute)(from, to, n, byte, next)) break;
    ITEM *swap = from;
    from = to, to = swap;
  }
  if (from != a) memcpy(a, from, (size_t)n * sizeof(ITEM));
}

/* A heap of k items, the largest at its root, heap[0]: let item i sink to where it belongs. */
static void G(sink)(ITEM *heap, int64_t k, int64_t i) {
  const ITEM v = heap[i];
  for (int64_t child; (child = 2 * i + 1) < k; i = child) {
    if (child + 1 < k && G(less)(heap[child], heap[child + 1])) child++;
    if (!G(less)(v, heap[child])) break;
    heap[i] = heap[child];
  }
  heap[i] = v;
}

/* The k smallest items of the line, in order, to best[]. */
static void G(select)(ITEM *best, const line *l, G(fill_fn) fill) {
  ITEM block[BLOCK];
  fill(best, l->x, l->step, 0, l->k, l->flip);
  for (int64_t i = l->k / 2; i-- > 0;) G(sink)(best, l->k, i);
  for (int64_t first = l->k; l->k && first < l->n; first += BLOCK) {
    const int64_t end = min_i64(first + BLOCK, l->n);
    fill(block, l->x, l->step, first, end, l->flip);
    for (int64_t i = 0; i < end - first; i++)
      if (G(less)(block[i], best[0])) best[0] = block[i], G(sink)(best, l->k, 0);
  }
  for (int64_t last = l->k - 1; last > 0; last--) {
    const ITEM largest = best[0];
    best[0] = best[last], best[last] = largest;
    G(sink)(best, last, 0);
  }
}

/* items: room for 2 n of them where all are sorted, else for k. */
static void G(sort_line)(const line *l, G(fill_fn) fill, ITEM *items) {
  if (!l->sorts_all) G(select)(items, l, fill);
  else {
    fill(items, l->x, l->step, 0, l->n, l->flip);
    if (l->n <= INSERTION) G(insertion_sort)(items, l->n);
    else G(radix_sort)(items, items + l->n, l->n);
  }
  if (ms_interrupted()) return;
  const line v = *l; /* a copy, which no store below can change */
  for (int64_t j = 0; j < v.k; j++) {
    const int64_t from = G(position)(items[j]), to = j * v.result_step;
    v.positions[to] = from + MS_INDEX_BASE;
    copy_element(v.size, v.x, from * v.step, v.values, to);
  }
}
