/* test_rows.c -- the doors of the gate: signatures that cannot be read, values that a derivative rule forgot to keep, calls in
 * place that fail, scratch of sort. */
#include "check.h"

/* ---- signatures -------------------------------------------------------------------------------------------------- */

static int parse(const char *signature, ms_op *op) {
  *op = (ms_op){.name = "some", .signature = signature};
  return ms_signature_parse(op);
}

static void bad(const char *signature, const char *message) {
  ms_op op;
  int rc = parse(signature, &op);
  if (rc == 0) fail_msg("\"%s\" was taken", signature);
  if (!ms_error() || !strstr(ms_error(), message) || !strstr(ms_error(), "row some"))
    fail_msg("\"%s\": got \"%s\", expected row some and \"%s\"", signature, ms_error(), message);
  ms_error_clear();
}

static void test_signatures(void **state) {
  (void)state;
  ms_op op;
  assert_int_equal(parse("x:tensor mode:enum(a|bc)=bc d:dim=-2 e:dim=none k:int=-3 b:bool=true s:scalar=1e-5 w:float=none", &op),
                   0);
  assert_int_equal(op.n_arg, 8);
  assert_int_equal(op.n_tensor, 2);
  assert_int_equal(op.arg[1].value.i, 1);
  assert_int_equal(op.arg[2].value.i, -2);
  assert_true(op.arg[3].value.i == MS_NO_DIM && op.arg[3].optional);
  assert_int_equal(op.arg[4].value.i, -3);
  assert_true(ms_decided(op.arg[6].value.s) == 1e-5 && op.arg[7].optional);
  assert_int_equal(parse("x:operand y:operand|y=-math.huge", &op), 0);
  assert_true(ms_decided(op.arg[1].value.s) == -INFINITY);
  assert_int_equal(parse("", &op), 0);
  assert_int_equal(parse("a:int b:int c:int d:int e:int f:int g:int h:int i:int j:int k:int l:int", &op), 0);
  bad("x:tensr", "an unknown kind");
  bad("x:tensor y:intx", "an unknown kind");
  bad("x:", "an unknown kind");
  bad("a:int b:int c:int d:int e:int f:int g:int h:int i:int j:int k:int l:int m:int", "more arguments than there can be");
  bad(":int", "expected a name");
  bad("a_name_of_twenty_chars:int", "expected a name");
  bad("x", "expected a colon");
  bad("x y:int", "expected a colon");
  bad("x:int x:int", "a name that was there");
  bad("m:enum", "words in brackets");
  bad("m:enum(a|b", "a closing bracket");
  bad("m:int(a)", "words in brackets");
  bad("m:enum(a|b)=c", "no default");
  bad("k:int=", "no default");
  bad("k:int=3x", "no default");
  bad("k:size=-1", "no default");
  bad("d:dim=0", "no default");
  bad("b:bool=yes", "no default");
  bad("t:dtype=f31", "no default");
  bad("x:tensor=0", "no default");
  bad("v:dims=2", "no default");
  bad("x:tensors y:tensor", "behind a list");
  bad("x:operand y:operand|z=1", "no default of an operand");
  bad("x:operand y:operand|y=one", "no default of an operand");
  bad("x:operand y:operand|y=1 y=2", "no default of an operand");
}

/* ---- what a rule did not keep -------------------------------------------------------------------------------------- */

static ms_tensor *ghost_of(ms_tensor *x) {
  ms_tensor *g = ms_autorelease(ms_alias(x));
  ms_storage_release(g->storage);
  g->storage = NULL, g->is_ghost = true;
  return g;
}

static void test_ghosts_are_seen_before_their_values_are(void **state) {
  (void)state;
  ms_tensor *x = noise(MS_F32, SHAPE(4, 3)), *at = positions(MS_I64, 4, SHAPE(2));
  expect_failure(ms_index_select(x, 0, ghost_of(at)), "reads the values of index");
  expect_failure(ms_index_select(ghost_of(x), 0, at), "reads the values of x");
  expect_failure(ms_gather(x, 0, ghost_of(positions(MS_I64, 4, SHAPE(2, 3)))), "reads the values of index");
  expect_failure(ms_apply(MS_OP_one_hot, MS_IN(ghost_of(at)), MS_ATTR(A_INT(4), A_INT(MS_F32))), "reads the values of index");
  expect_failure(ms_mul(ghost_of(x), x), "reads the values of x");
  expect_failure(ms_copy_(x, ghost_of(x)), "reads the values of src");
}

/* ---- calls that fail change nothing ------------------------------------------------------------------------------ */

static void test_failed_calls_in_place(void **state) {
  (void)state;
  ms_tensor *x = noise(MS_F32, SHAPE(2, 3)), *u = of(MS_U8, SHAPE(2), VALUES(1, 2));
  uint32_t before = x->storage->version, whole = u->storage->version;
  expect_failure(ms_apply(MS_OP_copy_, MS_IN(x, noise(MS_F32, SHAPE(4))), NULL), "does not fit");
  expect_failure(ms_apply(MS_OP_fill_, MS_IN(u), MS_ATTR(A_NUM(300))), "300 does not fit");
  expect_failure(ms_apply(MS_OP_batch_norm_follow_,
                          MS_IN(ms_reshape(x, SHAPE(6)), ms_reshape(x, SHAPE(6)), noise(MS_F32, SHAPE(5)), noise(MS_F32, SHAPE(5))),
                          MS_ATTR(A_INT(4), A_NUM(0.1), A_NUM(1e-5))),
                 "one value per channel");
  expect_failure(ms_apply_inplace(MS_OP_add, MS_IN(x, noise(MS_F32, SHAPE(5))), NULL), "do not fit together");
  expect_failure(ms_apply_inplace(MS_OP_add, MS_IN(u, ms_whole_number(-1)), NULL), "-1 does not fit");
  assert_int_equal(x->storage->version, before);
  assert_int_equal(u->storage->version, whole);
  expect(u, VALUES(1, 2));
  must(ms_copy_(x, noise(MS_F32, SHAPE(3))));
  assert_int_equal(x->storage->version, before + 1);
}

/* ---- scratch ------------------------------------------------------------------------------------------------------- */

static void test_sort_of_one_line_takes_scratch_once(void **state) {
  (void)state;
  enum { N = 100000 };
  const int threads = ms_threads();
  size_t peak[2];
  for (int k = 0; k < 2; k++) {
    ms_set_threads(k ? 8 : 1);
    ms_tensor *x = noise(MS_F32, SHAPE(N)), *out[MS_MAX_OUT];
    ms_memory_release_cache();
    ms_memory_reset_peak();
    const size_t live = ms_memory_stats(NULL).live;
    assert_int_equal(ms_apply_n(MS_OP_sort, NULL, MS_IN(x), MS_ATTR(A_INT(0), A_INT(0), A_INT(0)), out), 2);
    peak[k] = ms_memory_stats(NULL).peak - live + ms_memory_stats(NULL).cached;
  }
  ms_set_threads(threads);
  assert_true(peak[1] <= peak[0] + 65536);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_signatures),
      TEST(test_ghosts_are_seen_before_their_values_are),
      TEST(test_failed_calls_in_place),
      TEST(test_sort_of_one_line_takes_scratch_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
