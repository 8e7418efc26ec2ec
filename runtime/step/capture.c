/* capture.c -- a step that the device replays as one thing, if it can (a CUDA graph; backend.h: capture, captured, replay, drop).
 *
 * What differs from run to run -- numbers, addresses, the generator's counter -- stands in the live block, an array of 8-byte
 * words. Which word is which is decided once, when the step is built. At the step's first run the calls are captured by the
 * backend; from then on a run fills in the words and replays what was captured. */
#include "pass.h"
#include <stdlib.h>
#include <string.h>

/* What fills a word, or the three of a scalar attribute. */
typedef enum word_kind { WORD_OPERAND, WORD_ATTRIBUTE, WORD_ADDRESS } word_kind;

typedef struct live_word {
  word_kind kind;
  int at;           /* the word */
  int dtype;        /* OPERAND */
  ms_scalar number; /* OPERAND, ATTRIBUTE: where its value is now; the calls hold its cell */
  int slot;         /* ADDRESS: of this slot's memory, */
  size_t offset;    /* so far in, */
  size_t bytes;     /* and how far from there the calls reach */
} live_word;

struct ms_capture {
  live_word *word;
  int n_word, room;
  uint64_t *block;      /* the live block, as it was for the last run */
  int n_block;          /* its words; word 0 is unused */
  int rng;              /* the word with the seed, the counter behind it; 0: nothing is drawn */
  uint64_t draws;       /* counter values that a run takes */
  ms_io_memory *memory; /* what the ADDRESS words point to, for the backend */
  int n_memory;
  void *graph; /* NULL: not captured yet */
};

static int no_memory(void) { return ms_fail("compile: out of memory"), -1; }

/* A word of the live block for `what` (three for an attribute); if one was given to the same before, that one. Its number; 0 after
 * ms_fail. */
static int give_word(struct ms_capture *w, live_word what) {
  for (int i = 0; i < w->n_word; i++) {
    live_word *v = &w->word[i];
    if (v->kind != what.kind) continue;
    if (what.kind == WORD_ADDRESS ? v->slot != what.slot || v->offset != what.offset
                                  : v->dtype != what.dtype || !ms_scalar_same(&v->number, &what.number))
      continue;
    if (what.bytes > v->bytes) v->bytes = what.bytes;
    return v->at;
  }
  if (w->n_word == w->room) {
    const int room = w->room ? 2 * w->room : 32;
    live_word *p = realloc(w->word, (size_t)room * sizeof *p);
    if (!p) return no_memory(), 0;
    w->word = p, w->room = room;
  }
  what.at = w->n_block;
  w->n_block += what.kind == WORD_ATTRIBUTE ? 3 : 1;
  w->word[w->n_word++] = what;
  return what.at;
}

/* Does the slot lie at another address from run to run? */
static bool moves(const ms_slot *s) { return s->kind == MS_SLOT_INPUT || s->kind == MS_SLOT_RESULT || s->kind == MS_SLOT_KEPT; }

static live_word address_of(ms_rcall *q, int k) {
  size_t from, to;
  ms_view_span(ms_rcall_view(q, k), 0, &from, &to);
  return (live_word){.kind = WORD_ADDRESS, .slot = q->slot[k], .offset = q->offset[k], .bytes = to};
}

/* Words for the live numbers, the moving addresses and the draws of one call. 0, or -1 after ms_fail. */
static int give_words(struct ms_capture *w, const ms_record *r, ms_rcall *q) {
  ms_call *c = &q->call;
  for (int k = 0; k < c->n_in + c->n_out; k++) {
    ms_view *v = ms_rcall_view(q, k);
    live_word what = {.slot = -1};
    if (k < c->n_in && v->number && ms_scalar_cell(q->number[k]))
      what = (live_word){.kind = WORD_OPERAND, .dtype = v->dtype, .number = q->number[k]};
    else if (q->slot[k] >= 0 && moves(&r->slot[q->slot[k]])) what = address_of(q, k);
    else continue;
    if (!(v->live = give_word(w, what))) return -1;
  }
  for (int i = 0, a = 0; i < c->op->n_arg; i++) {
    if (c->op->arg[i].is_tensor) continue;
    ms_attr *attr = &q->attr[a++];
    if (c->op->arg[i].kind != MS_K_SCALAR || !ms_scalar_cell(attr->s)) continue;
    const int at = give_word(w, (live_word){.kind = WORD_ATTRIBUTE, .number = attr->s});
    if (!at) return -1;
    attr->s = ms_scalar_with_live(attr->s, at);
  }
  if (!c->rng || !c->n_out) return 0;
  if (!w->rng) w->rng = w->n_block, w->n_block += 2;
  c->rng_live = w->rng, c->rng_offset = w->draws - q->rng_behind;
  if (!q->rng_behind) w->draws += ms_rng_counters(c->out[0].dtype, ms_view_numel(&c->out[0]));
  return 0;
}

static int list_memory(struct ms_capture *w, const ms_record *r) {
  if (!(w->memory = calloc((size_t)w->n_word + 1, sizeof *w->memory))) return no_memory();
  for (int i = 0; i < w->n_word; i++) {
    const live_word *v = &w->word[i];
    if (v->kind != WORD_ADDRESS) continue;
    const ms_slot *s = &r->slot[v->slot];
    w->memory[w->n_memory++] = (ms_io_memory){
        .kind = s->kind == MS_SLOT_INPUT    ? MS_IO_INPUT
                : s->kind == MS_SLOT_RESULT ? MS_IO_RESULT
                                            : MS_IO_GRADIENT,
        .live = v->at,
        .storage = v->slot,
        .offset = v->offset,
        .bytes = v->bytes,
        .written = s->written,
    };
  }
  return 0;
}

int ms_step_plan_capture(ms_step *s) {
  ms_record *r = s->r;
  if (!r->device->backend->capture) return 0;
  struct ms_capture *w = s->capture = calloc(1, sizeof *w);
  if (!w) return no_memory();
  w->n_block = 1;
  for (int i = 0; i < r->n_call; i++)
    if (!s->dead[i] && give_words(w, r, &r->call[i]) < 0) return -1;
  if (!(w->block = calloc((size_t)w->n_block, sizeof *w->block))) return no_memory();
  return list_memory(w, r);
}

/* Fill in the words for this run. 0; -1 after ms_fail where a number does not fit its dtype. */
static int fill_words(struct ms_capture *w, const ms_step *s, ms_tensor *const *args) {
  for (int i = 0; i < w->n_word; i++) {
    const live_word *v = &w->word[i];
    uint64_t *to = &w->block[v->at];
    if (v->kind == WORD_ADDRESS) to[0] = (uint64_t)(uintptr_t)ms_step_address(s, v->slot, v->offset, args);
    else if (v->kind == WORD_ATTRIBUTE) ms_scalar_write(v->number, to);
    else if (ms_put_number(to, v->dtype, v->number) < 0) return -1;
  }
  if (w->rng) w->block[w->rng] = ms_default_rng()->seed, w->block[w->rng + 1] = ms_default_rng()->counter;
  return 0;
}

/* Have the backend record the calls, each of them once. 0, or -1 after ms_fail. */
static int capture(struct ms_capture *w, const ms_step *s) {
  const ms_record *r = s->r;
  const ms_backend *b = r->device->backend;
  int rc = 0;
  if (b->capture(r->device->queue) < 0) return -1;
  for (int i = 0; i < r->n_call && rc == 0; i++) {
    ms_rcall *q = &s->r->call[i];
    if (!ms_step_runs(s, i)) continue;
    if ((rc = q->call.kernel->run(&q->call)) < 0)
      ms_error_prefix("%s at %s:%d", q->call.op->name, q->chunk ? q->chunk : "?", q->line);
  }
  /* Also after a failure: the queue must stop recording. */
  void *graph = b->captured(r->device->queue, &(ms_io){w->memory, w->n_memory, w->n_block});
  if (rc < 0 && graph) b->drop(r->device->queue, graph);
  else w->graph = graph;
  return rc < 0 || !graph ? -1 : 0;
}

int ms_step_replay_captured(ms_step *s, ms_tensor *const *args) {
  struct ms_capture *w = s->capture;
  ms_device *d = s->r->device;
  if (fill_words(w, s, args) < 0) return ms_error_clear(), 0;
  if (!w->graph && capture(w, s) < 0) return -1;
  if (d->backend->replay(d->queue, w->graph, w->block, w->n_block) < 0) return -1;
  ms_default_rng()->counter += w->draws;
  return 1;
}

void ms_step_drop_capture(ms_step *s) {
  struct ms_capture *w = s->capture;
  if (!w) return;
  if (w->graph) s->r->device->backend->drop(s->r->device->queue, w->graph);
  free(w->word), free(w->block), free(w->memory), free(w);
}
