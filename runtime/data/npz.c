/* npz.c -- NumPy's .npz: a zip archive (io/zip.c) of .npy members. What is no array of ours is listed with the reason, so that
 * others beside it can be read. */
#include "data/npy.h"
#include "io/zip.h"
#include <stdlib.h>
#include <string.h>

typedef struct npz_file {
  ms_source s;
  ms_zip *zip;
  ms_npy *heads; /* of each item */
} npz_file;

static bool is(const uint8_t *head, size_t n, uint64_t size) {
  (void)size;
  return n >= 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4));
}

/* "x" of "x.npy", which numpy takes away; false where it does not end so. */
static bool stem(const char *member, char **out) {
  const size_t n = strlen(member);
  const bool npy = n > 4 && !strcmp(member + n - 4, ".npy");
  *out = npy ? strndup(member, n - 4) : strdup(member);
  return npy;
}

static bool ends_in_data_pkl(const char *member) {
  const size_t n = strlen(member);
  return n >= 9 && !strcmp(member + n - 9, "/data.pkl");
}

/* A message about the array of member k; NULL where memory lacks. */
static char *about(const ms_file *f, const char *name) {
  char *words = ms_text("%.700s: '%.200s'", f->name, name);
  return words ? words : ms_fail("%s: out of memory", f->name);
}

/* Item k from the head of its member. */
static int open_member(ms_file *f, int k) {
  npz_file *p = f->private;
  const ms_zip_member *m = &p->zip->members[k];
  char *name;
  const bool npy = stem(m->name, &name);
  ms_content *it = name ? ms_file_add(f, name) : NULL;
  free(name);
  if (!it) return ms_error() ? -1 : (ms_fail("%s: out of memory", f->name), -1);
  if (!npy || m->encrypted || (m->method != 0 && m->method != 8)) {
    it->problem =
        strdup(m->encrypted ? "it is encrypted"
               : ends_in_data_pkl(m->name)
                   ? "this is a file of torch.save; write the weights by safetensors.torch.save_file(model.state_dict(), path)"
               : !npy ? "no array: its name does not end in .npy"
                      : "it is compressed in a way that is not known here");
    return it->problem ? 0 : (ms_fail("%s: out of memory", f->name), -1);
  }
  char *words = about(f, it->name);
  ms_npy *h = &p->heads[k];
  int rc = !words || ms_zip_begin(&p->s, p->zip, k) || ms_npy_begin(&p->s, words, h) ||
           ms_npy_item(h, it, m->method || f->in_memory ? 0 : m->at);
  if (!rc && h->stored && h->header + h->bytes != m->size)
    rc = (ms_fail("%s: expected %llu bytes of elements, got %llu", words, (unsigned long long)h->bytes,
                  (unsigned long long)(m->size - h->header)),
          -1);
  free(words);
  return rc ? -1 : 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Two members of one name: numpy would read one of them. */
static int check_names(const ms_file *f) {
  const char **names = malloc(((size_t)f->n + 1) * sizeof *names);
  if (!names) return ms_fail("%s: out of memory", f->name), -1;
  for (int k = 0; k < f->n; k++) names[k] = f->items[k].name;
  qsort(names, (size_t)f->n, sizeof *names, by_name);
  int rc = 0;
  for (int k = 1; k < f->n && !rc; k++)
    if (!strcmp(names[k - 1], names[k])) rc = (ms_fail("%s: two arrays of the name '%s'", f->name, names[k]), -1);
  free(names);
  return rc;
}

static int open_npz(ms_file *f) {
  npz_file *p = f->private = calloc(1, sizeof *p);
  if (!p) return ms_fail("%s: out of memory", f->name), -1;
  p->s.fd = -1;
  if (ms_file_source(f, &p->s) || !(p->zip = ms_zip_open(&p->s))) return -1;
  if (!(p->heads = calloc((size_t)p->zip->n + 1, sizeof *p->heads))) return ms_fail("%s: out of memory", f->name), -1;
  for (int k = 0; k < p->zip->n; k++)
    if (open_member(f, k)) return -1;
  return check_names(f) ? -1 : ms_file_allow(f, p->s.size, 1 << 16);
}

static int read_npz(ms_file *f, int k, void *out) {
  npz_file *p = f->private;
  char *words = about(f, f->items[k].name);
  ms_npy again; /* of a file that may have changed since */
  int rc = !words || ms_zip_begin(&p->s, p->zip, k) || ms_npy_begin(&p->s, words, &again);
  if (!rc && (again.stored != p->heads[k].stored || again.count != p->heads[k].count || again.swapped != p->heads[k].swapped))
    rc = (ms_fail("%s: it changed while it was read", words), -1);
  rc = rc || ms_npy_elements(&p->s, words, &again, out) || ms_zip_end(&p->s, p->zip, k);
  free(words);
  return rc ? -1 : 0;
}

static void close_npz(ms_file *f) {
  npz_file *p = f->private;
  if (!p) return;
  ms_zip_close(p->zip);
  ms_source_close(&p->s);
  free(p->heads);
  free(p);
}

const ms_format ms_format_npz = {
    .name = "npz", .what = "NumPy's npz", .is = is, .open = open_npz, .read = read_npz, .close = close_npz};

int ms_npz_write(const char *path, int n, const ms_st_entry *entries, bool compress) {
  ms_zip_writer *w = ms_zip_create(path, compress);
  int rc = w ? 0 : -1;
  for (int k = 0; k < n && !rc; k++) {
    size_t head_n;
    const ms_st_entry *e = &entries[k];
    char *words = ms_text("%.700s: '%.200s'", path, e->name), *member = malloc(strlen(e->name) + 5);
    uint8_t *head = words && member ? ms_npy_header(words, e->dtype, e->rank, e->shape, &head_n) : NULL;
    for (int j = 0; j < k && head; j++)
      if (!strcmp(entries[j].name, e->name)) head = (free(head), ms_fail("%s: two arrays of this name", words));
    if (head) {
      strcat(strcpy(member, e->name), ".npy");
      rc = ms_zip_add(w, member, 2, (ms_piece[]){{head, head_n}, {e->data, e->bytes}});
    } else rc = ms_error() ? -1 : (ms_fail("%s: out of memory", path), -1);
    free(words), free(member), free(head);
  }
  if (!rc) return ms_zip_commit(w);
  ms_zip_abort(w);
  return -1;
}
