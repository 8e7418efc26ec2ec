/* test_team.c -- blocks shared by threads: every number runs once whatever the team, nested, from several threads at once, after a
 * fork, where the system gives no threads; quotas of control groups. */
#define _GNU_SOURCE
#include "core/core.h"
#include "team.h"
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The library keeps its own to itself. */
void GOMP_parallel(void (*run)(void *), void *data, unsigned numbers, unsigned flags);
void GOMP_parallel(void (*run)(void *), void *data, unsigned numbers, unsigned flags) {
  (void)flags;
  ms_team_run(run, data, (int)numbers);
}

/* A block of `team` numbers: how often did each run? -1: all once. */
static int odd_one(int team) {
  int ran[1024] = {0};
  MS_TOGETHER(team, id, {
    __atomic_fetch_add(&ran[id], 1, __ATOMIC_RELAXED);
    for (volatile int wait = 0; wait < (id * 7919) % 300; wait++) {}
  });
  for (int i = 0; i < 1024; i++)
    if (ran[i] != (i < team)) return i;
  return -1;
}

static void test_each_number_once(void **state) {
  (void)state;
  static const int threads[] = {2, 3, 8, 70};
  for (int t = 0; t < 4; t++) {
    ms_set_threads(threads[t]);
    for (int round = 0; round < 300; round++) assert_int_equal(odd_one(1 + round * round % 200), -1);
    for (int round = 0; round < 5000; round++) assert_int_equal(odd_one(2), -1);
  }
  assert_int_equal(odd_one(1024), -1);
  ms_set_threads(2);
}

static void test_loops(void **state) {
  (void)state;
  for (int64_t n = 0; n < 300; n += 1 + n / 10) {
    int a[300] = {0}, b[300] = {0};
    MS_PARALLEL(7, i, n, a[i]++;);
    MS_TASKS(5, id, i, n, b[i] += 1 + 0 * id;);
    for (int64_t i = 0; i < 300; i++) assert_true(a[i] == (i < n) && b[i] == (i < n));
  }
}

static int nested(void) {
  int sum = 0;
  MS_TOGETHER(5, k, sum += 1 + k;); /* in one thread: no atomics */
  return sum;
}

static void test_cap_and_nested(void **state) {
  (void)state;
  ms_set_threads(4);
  for (int cap = 0; cap < 4; cap++) {
    assert_int_equal(ms_team_cap(cap), 0);
    for (int round = 0; round < 500; round++) assert_int_equal(odd_one(9), -1);
    assert_int_equal(ms_team_cap(0), cap);
  }
  int sum = 0, outside = ms_member();
  assert_false(ms_in_team());
  MS_TOGETHER(6, id, {
    const int inner = nested();
    __atomic_fetch_add(&sum, inner + 1000 * (ms_member() == id) + 100000 * ms_in_team(), __ATOMIC_RELAXED);
  });
  assert_int_equal(sum, 6 * 101015);
  assert_int_equal(ms_member(), outside);
  assert_false(ms_in_team());
  ms_set_threads(2);
}

static void *many(void *arg) {
  int *bad = arg;
  for (int i = 0; i < 3000; i++) *bad |= odd_one(2 + i % 5) != -1;
  return NULL;
}

static void test_several_callers(void **state) {
  (void)state;
  pthread_t thread[4];
  int bad[4] = {0};
  ms_set_threads(3);
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, many, &bad[i]), 0);
  for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < 4; i++) assert_false(bad[i]);
  ms_set_threads(2);
}

static void test_end_and_begin_again(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    assert_int_equal(odd_one(2), -1);
    if (i % 3) usleep(3000); /* asleep */
    ms_team_end();
  }
}

/* What `child` gives in a child of this process. */
static int in_a_child(int (*child)(void)) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static int run_some(void) {
  int bad = 0;
  many(&bad);
  ms_team_end();
  return bad;
}

static void test_fork(void **state) {
  (void)state;
  ms_set_threads(4);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(odd_one(4), -1);
    assert_int_equal(in_a_child(run_some), 0);
  }
  assert_int_equal(odd_one(4), -1);
  ms_set_threads(2);
}

static int run_without_threads(void) {
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_NPROC, &none)) return 2;
  if (geteuid() == 0 && setuid(65534)) return 2; /* to root nothing is refused */
  pthread_t t;
  if (pthread_create(&t, NULL, many, NULL) == 0) return 2;
  return run_some();
}

static void test_no_threads_to_be_had(void **state) {
  (void)state;
  ms_set_threads(8);
  const int answer = in_a_child(run_without_threads);
  ms_set_threads(2);
  if (answer == 2) skip(); /* the limit does not hold here */
  assert_int_equal(answer, 0);
}

static void write_file(const char *folder, const char *name, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  for (char *p = path + 1; (p = strchr(p, '/')); p++) {
    *p = 0;
    mkdir(path, 0777);
    *p = '/';
  }
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void test_quota(void **state) {
  (void)state;
  char root[] = "/tmp/mascon-quota-XXXXXX", groups[64], command[80];
  assert_non_null(mkdtemp(root));
  snprintf(groups, sizeof groups, "%s/groups", root);
  write_file(root, "groups", "0::/a/b\n");
  assert_true(isinf(ms_cpu_quota(groups, root)));
  assert_true(isinf(ms_cpu_quota("/nonexistent", root)));
  write_file(root, "a/b/cpu.max", "max 100000\n");
  assert_true(isinf(ms_cpu_quota(groups, root)));
  write_file(root, "a/b/cpu.max", "300000 100000\n");
  assert_true(ms_cpu_quota(groups, root) == 3);
  write_file(root, "a/cpu.max", "50000 100000\n"); /* the group above grants less */
  assert_true(ms_cpu_quota(groups, root) == 0.5);
  write_file(root, "groups", "9:name=systemd:/a\n3:cpuset,memory:/a\n2:cpuacct,cpu:/c\n0::/\n"); /* version 1 */
  assert_true(isinf(ms_cpu_quota(groups, root)));
  write_file(root, "cpu/c/cpu.cfs_quota_us", "-1\n");
  assert_true(isinf(ms_cpu_quota(groups, root)));
  write_file(root, "cpu/c/cpu.cfs_quota_us", "20000\n");
  write_file(root, "cpu/c/cpu.cfs_period_us", "10000\n");
  assert_true(ms_cpu_quota(groups, root) == 2);
  write_file(root, "cpu/cpu.cfs_quota_us", "100000\n");
  assert_true(ms_cpu_quota(groups, root) == 1);
  assert_true(ms_cores() >= 1);
  snprintf(command, sizeof command, "rm -rf %s", root);
  assert_int_equal(system(command), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_number_once),     cmocka_unit_test(test_loops),
      cmocka_unit_test(test_cap_and_nested),       cmocka_unit_test(test_several_callers),
      cmocka_unit_test(test_end_and_begin_again),  cmocka_unit_test(test_fork),
      cmocka_unit_test(test_no_threads_to_be_had), cmocka_unit_test(test_quota),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
