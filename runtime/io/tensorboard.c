/* tensorboard.c -- event files. Records are framed as in TensorFlow's record_writer.cc; field numbers are those of event.proto,
 * summary.proto and tensor.proto. */
#include "io/io.h"
#include "io/protobuf.h"
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION_LOG = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_IMAGE = 4, VALUE_HISTO = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { BUFFER_BYTES = 1 << 20, FLUSH_SECONDS = 2 };

struct ms_events {
  int fd;
  char *path;
  double fixed_time; /* NAN: the clock */
  double flushed;    /* when */
  bool begun;        /* the version record is written */
  ms_pb out;         /* whole records, waiting */
  ms_pb event;       /* the one being made */
};

static double clock_now(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

ms_events *ms_events_open(const char *folder) {
  static unsigned serial;
  if (ms_mkdirs(folder)) return NULL;
  char host[256];
  if (gethostname(host, sizeof host)) strcpy(host, "localhost");
  host[sizeof host - 1] = 0;
  for (char *c = host; *c; c++)
    if (*c == '/') *c = '_';
  size_t room = strlen(folder) + strlen(host) + 80;
  ms_events *e = calloc(1, sizeof *e);
  if (!e || !(e->path = malloc(room))) {
    free(e);
    return ms_fail("%s: out of memory", folder);
  }
  do {
    unsigned k = __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED);
    snprintf(e->path, room, "%s/events.out.tfevents.%010lld.%s.%ld.%u", folder, (long long)time(NULL), host, (long)getpid(), k);
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  } while (e->fd < 0 && errno == EEXIST);
  if (e->fd < 0) {
    ms_fail("%s: cannot write: %s", e->path, strerror(errno));
    free(e->path);
    free(e);
    return NULL;
  }
  e->fixed_time = NAN;
  e->flushed = clock_now(CLOCK_MONOTONIC);
  return e;
}

const char *ms_events_path(const ms_events *e) { return e->path; }
void ms_events_set_time(ms_events *e, double t) { e->fixed_time = t; }

/* ---- records ----------------------------------------------------------------------------------------------------- */

static void put_u32(ms_pb *out, uint32_t v) {
  uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  ms_pb_raw(out, b, 4);
}

static uint32_t masked_crc(const void *data, size_t n) {
  uint32_t c = ms_crc32c(0, data, n);
  return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put_record(ms_pb *out, const void *data, size_t n) {
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)n >> (8 * i));
  ms_pb_raw(out, length, 8);
  put_u32(out, masked_crc(length, 8));
  ms_pb_raw(out, data, n);
  put_u32(out, masked_crc(data, n));
}

static double now(const ms_events *e) { return isnan(e->fixed_time) ? clock_now(CLOCK_REALTIME) : e->fixed_time; }

static void begin_event(ms_events *e) {
  e->event.n = 0;
  ms_pb_double(&e->event, EVENT_WALL_TIME, now(e));
}

/* The finished event goes out; records reach the file whole. */
static int end_event(ms_events *e) {
  put_record(&e->out, e->event.at, e->event.n);
  if (e->event.failed || e->out.failed) {
    ms_fail("%s: out of memory", e->path);
    return -1;
  }
  if (e->out.n < BUFFER_BYTES && clock_now(CLOCK_MONOTONIC) - e->flushed < FLUSH_SECONDS) return 0;
  return ms_events_flush(e);
}

static int write_version(ms_events *e) {
  if (e->begun) return 0;
  e->begun = true;
  begin_event(e);
  ms_pb_string(&e->event, EVENT_FILE_VERSION, "brain.Event:2");
  return end_event(e);
}

int ms_events_flush(ms_events *e) {
  if (write_version(e)) return -1;
  e->flushed = clock_now(CLOCK_MONOTONIC);
  size_t done = 0;
  while (done < e->out.n) {
    ssize_t put = write(e->fd, e->out.at + done, e->out.n - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      ms_fail("%s: write failed: %s", e->path, strerror(errno));
      memmove(e->out.at, e->out.at + done, e->out.n -= done);
      return -1;
    }
    done += (size_t)put;
  }
  e->out.n = 0;
  return 0;
}

int ms_events_close(ms_events *e) {
  if (!e) return 0;
  int rc = ms_events_flush(e);
  if (close(e->fd) && !rc) {
    ms_fail("%s: write failed: %s", e->path, strerror(errno));
    rc = -1;
  }
  ms_pb_free(&e->out);
  ms_pb_free(&e->event);
  free(e->path);
  free(e);
  return rc;
}

int ms_events_resume(ms_events *e, int64_t step) {
  if (write_version(e)) return -1;
  begin_event(e);
  ms_pb_int(&e->event, EVENT_STEP, step);
  size_t log = ms_pb_begin(&e->event, EVENT_SESSION_LOG);
  ms_pb_int(&e->event, 1, 1); /* status START */
  ms_pb_end(&e->event, log);
  return end_event(e);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* event{summary{value{tag ...: both marks are closed by end_value. */
typedef struct marks {
  size_t summary, value;
} marks;

/* A string that is not UTF-8 makes the reader drop the rest of the file. */
static int check_text(const ms_events *e, const char *what, const char *s) {
  if (ms_utf8(s, strlen(s))) return 0;
  ms_fail("%s: %s '%.80s': expected UTF-8 text", e->path, what, s);
  return -1;
}

static int begin_value(ms_events *e, const char *tag, int64_t step, marks *m) {
  if (check_text(e, "the tag", tag) || write_version(e)) return -1;
  begin_event(e);
  ms_pb_int(&e->event, EVENT_STEP, step);
  m->summary = ms_pb_begin(&e->event, EVENT_SUMMARY);
  m->value = ms_pb_begin(&e->event, SUMMARY_VALUE);
  ms_pb_string(&e->event, VALUE_TAG, tag);
  return 0;
}

static int end_value(ms_events *e, marks m) {
  ms_pb_end(&e->event, m.value);
  ms_pb_end(&e->event, m.summary);
  return end_event(e);
}

int ms_events_scalar(ms_events *e, const char *tag, int64_t step, double value) {
  marks m;
  if (begin_value(e, tag, step, &m)) return -1;
  ms_pb_float(&e->event, VALUE_SIMPLE, (float)value);
  return end_value(e, m);
}

int ms_events_image(ms_events *e, const char *tag, int64_t step, int width, int height, int channels, const void *png, size_t n) {
  marks m;
  if (channels != 1 && channels != 3 && channels != 4) {
    ms_fail("%s: image '%s': expected 1, 3 or 4 channels, got %d", e->path, tag, channels);
    return -1;
  }
  if (begin_value(e, tag, step, &m)) return -1;
  size_t image = ms_pb_begin(&e->event, VALUE_IMAGE);
  ms_pb_int(&e->event, 1, height);
  ms_pb_int(&e->event, 2, width);
  ms_pb_int(&e->event, 3, channels);
  ms_pb_bytes(&e->event, 4, png, n);
  ms_pb_end(&e->event, image);
  return end_value(e, m);
}

int ms_events_text(ms_events *e, const char *tag, int64_t step, const char *text) {
  marks m;
  if (check_text(e, "the text", text) || begin_value(e, tag, step, &m)) return -1;
  size_t tensor = ms_pb_begin(&e->event, VALUE_TENSOR);
  ms_pb_int(&e->event, 1, 7); /* DT_STRING */
  size_t shape = ms_pb_begin(&e->event, 2), dim = ms_pb_begin(&e->event, 2);
  ms_pb_int(&e->event, 1, 1);
  ms_pb_end(&e->event, dim);
  ms_pb_end(&e->event, shape);
  ms_pb_string(&e->event, 8, text);
  ms_pb_end(&e->event, tensor);
  size_t metadata = ms_pb_begin(&e->event, VALUE_METADATA), plugin = ms_pb_begin(&e->event, 1);
  ms_pb_string(&e->event, 1, "text");
  ms_pb_end(&e->event, plugin);
  ms_pb_end(&e->event, metadata);
  return end_value(e, m);
}

/* ---- hyper-parameters -------------------------------------------------------------------------------------------- */

/* As TensorBoard's plugin "hparams" wants it (its api.proto and plugin_data.proto): values without contents but for the metadata.
 * Experiment 2 {hparam_infos 4 {name 1, type 4}, metric_infos 5 {name 1 {tag 2}}}; SessionStartInfo 3 {hparams 1 {key 1, value 2
 * {number 2, string 3, bool 4}}, start_time_secs 5}; SessionEndInfo 4 {status 1 (1 success), end_time_secs 2}. */
static int begin_plugin(ms_events *e, const char *tag, marks *m, size_t inner[4], int part) {
  if (begin_value(e, tag, 0, m)) return -1;
  inner[0] = ms_pb_begin(&e->event, VALUE_METADATA), inner[1] = ms_pb_begin(&e->event, 1);
  ms_pb_string(&e->event, 1, "hparams");
  inner[2] = ms_pb_begin(&e->event, 2), inner[3] = ms_pb_begin(&e->event, part);
  return 0;
}

static int end_plugin(ms_events *e, marks m, const size_t inner[4]) {
  for (int i = 3; i >= 0; i--) ms_pb_end(&e->event, inner[i]);
  return end_value(e, m);
}

int ms_events_hparams(ms_events *e, size_t n, const ms_hparam *p, size_t metrics, const char *const *tags) {
  marks m;
  size_t inner[4];
  for (size_t i = 0; i < n; i++)
    if (check_text(e, "the name", p[i].name) || (p[i].kind == MS_HPARAM_TEXT && check_text(e, "the text", p[i].text))) return -1;
  for (size_t i = 0; i < metrics; i++)
    if (check_text(e, "the tag", tags[i])) return -1;
  if (begin_plugin(e, "_hparams_/experiment", &m, inner, 2)) return -1;
  for (size_t i = 0; i < n; i++) {
    size_t info = ms_pb_begin(&e->event, 4);
    ms_pb_string(&e->event, 1, p[i].name);
    ms_pb_int(&e->event, 4, p[i].kind);
    ms_pb_end(&e->event, info);
  }
  for (size_t i = 0; i < metrics; i++) {
    size_t info = ms_pb_begin(&e->event, 5), name = ms_pb_begin(&e->event, 1);
    ms_pb_string(&e->event, 2, tags[i]);
    ms_pb_end(&e->event, name);
    ms_pb_end(&e->event, info);
  }
  if (end_plugin(e, m, inner) || begin_plugin(e, "_hparams_/session_start_info", &m, inner, 3)) return -1;
  for (size_t i = 0; i < n; i++) {
    size_t entry = ms_pb_begin(&e->event, 1);
    ms_pb_string(&e->event, 1, p[i].name);
    size_t value = ms_pb_begin(&e->event, 2);
    if (p[i].kind == MS_HPARAM_NUMBER) ms_pb_double(&e->event, 2, p[i].number);
    if (p[i].kind == MS_HPARAM_TEXT) ms_pb_string(&e->event, 3, p[i].text);
    if (p[i].kind == MS_HPARAM_BOOL) ms_pb_int(&e->event, 4, p[i].number != 0);
    ms_pb_end(&e->event, value);
    ms_pb_end(&e->event, entry);
  }
  ms_pb_double(&e->event, 5, now(e));
  if (end_plugin(e, m, inner) || begin_plugin(e, "_hparams_/session_end_info", &m, inner, 4)) return -1;
  ms_pb_int(&e->event, 1, 1);
  ms_pb_double(&e->event, 2, now(e));
  return end_plugin(e, m, inner);
}

/* ---- histograms -------------------------------------------------------------------------------------------------- */

/* Bucket limits as TensorFlow's histogram.cc makes them: 0, 1e-12 * 1.1^k below 1e20, DBL_MAX, and the same negated. Bucket i holds
 * limit[i-1] <= x < limit[i]. */
enum { LIMITS_CAP = 2000 };

typedef struct limits {
  int n, zero; /* limit[zero] == 0 */
  double at[LIMITS_CAP];
} limits;

static void make_limits(limits *l) {
  int n = 0;
  for (double v = 1e-12; v < 1e20; v *= 1.1) n++;
  l->zero = n + 1;
  l->n = 2 * n + 3;
  l->at[l->zero] = 0;
  l->at[0] = -DBL_MAX;
  l->at[l->n - 1] = DBL_MAX;
  int k = 1;
  for (double v = 1e-12; v < 1e20; v *= 1.1, k++) {
    l->at[l->zero + k] = v;
    l->at[l->zero - k] = -v;
  }
}

/* The first limit above x. A guess from the logarithm is within a step or two; the loops make it exact. */
static int find_bucket(const limits *l, double x) {
  double size = fabs(x);
  int k = 0;
  if (size >= 1e-12) k = 1 + (int)(log(size * 1e12) * 10.492058687257); /* 1 / ln 1.1 */
  int i = x < 0 ? l->zero - k : l->zero + k;
  if (i < 0) i = 0;
  if (i > l->n - 1) i = l->n - 1;
  while (i > 0 && l->at[i - 1] > x) i--;
  while (i < l->n - 1 && l->at[i] <= x) i++;
  return i;
}

typedef struct histogram {
  double min, max, num, sum, sum_squares;
  double limit[LIMITS_CAP], bucket[LIMITS_CAP];
  int n;
  double count[LIMITS_CAP];
  limits limits;
} histogram;

static void count_values(histogram *h, const float *values, size_t n) {
  h->min = DBL_MAX;
  h->max = -DBL_MAX;
  for (size_t i = 0; i < n; i++) {
    double x = values[i];
    if (!isfinite(x)) continue;
    if (x < h->min) h->min = x;
    if (x > h->max) h->max = x;
    h->num++;
    h->sum += x;
    h->sum_squares += x * x;
    h->count[find_bucket(&h->limits, x)]++;
  }
  if (h->num == 0) h->min = h->max = 0;
}

/* Runs of empty buckets become one, and those behind the last full one go. */
static void compress(histogram *h) {
  int last = -1;
  for (int i = 0; i < h->limits.n; i++)
    if (h->count[i] > 0) last = i;
  for (int i = 0; i <= last; i++) {
    if (h->count[i] <= 0 && h->count[i + 1] <= 0) continue;
    h->limit[h->n] = h->limits.at[i];
    h->bucket[h->n++] = h->count[i];
  }
  if (h->n) return;
  h->limit[h->n] = DBL_MAX;
  h->bucket[h->n++] = 0;
}

int ms_events_histogram(ms_events *e, const char *tag, int64_t step, const float *values, size_t n) {
  marks m;
  histogram *h = calloc(1, sizeof *h);
  if (!h) {
    ms_fail("%s: out of memory", e->path);
    return -1;
  }
  make_limits(&h->limits);
  count_values(h, values, n);
  compress(h);
  int rc = begin_value(e, tag, step, &m);
  if (!rc) {
    size_t histo = ms_pb_begin(&e->event, VALUE_HISTO);
    const double five[5] = {h->min, h->max, h->num, h->sum, h->sum_squares};
    for (int i = 0; i < 5; i++) ms_pb_double(&e->event, 1 + i, five[i]);
    ms_pb_doubles(&e->event, 6, h->limit, (size_t)h->n);
    ms_pb_doubles(&e->event, 7, h->bucket, (size_t)h->n);
    ms_pb_end(&e->event, histo);
    rc = end_value(e, m);
  }
  free(h);
  return rc;
}
