/* test_download.c -- downloads from a server of our own that is slow, cut off, absent, sends too much, and so on.
 *
 *   test_download --serve      prints the port and serves until its input ends (tests/sh/test_download.sh) */
#include "files.h"
#include "io/digest.h"
#include "io/download.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- the server ---------------------------------------------------------------------------------------------------- */

enum { SIZE = 100000 };

static int *asked_for; /* how often "tagged" was, in all processes */

static uint8_t byte_at(size_t i) { return (uint8_t)(i * 7 + i / 256); }

static void put(int to, const void *bytes, size_t n) {
  for (const char *p = bytes; n;) {
    const ssize_t k = send(to, p, n, MSG_NOSIGNAL);
    if (k <= 0) _exit(0);
    p += k;
    n -= (size_t)k;
  }
}

static void say(int to, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  put(to, text, strlen(text));
}

/* What is asked for says how it is answered; the file is SIZE bytes. */
static void answer(int to) {
  char asked[4096] = "", word[64] = "";
  for (size_t n = 0; n < sizeof asked - 1 && !strstr(asked, "\r\n\r\n");) {
    const ssize_t k = recv(to, asked + n, sizeof asked - 1 - n, 0);
    if (k <= 0) return;
    n += (size_t)k;
  }
  sscanf(asked, "GET /%63s", word);
  char *file = strrchr(word, '/'), *range = strstr(asked, "Range: bytes=");
  if (file) *file = 0; /* word/name.mat */
  size_t from = range ? strtoul(range + 13, NULL, 10) : 0, upto = SIZE;
  bool is_wrong = !strcmp(word, "wrong");
  if (!strcmp(word, "missing")) return say(to, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnone");
  if (!strcmp(word, "moved"))
    return say(to, "HTTP/1.1 302 Found\r\nLocation: /good\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (!strcmp(word, "round"))
    return say(to, "HTTP/1.1 302 Found\r\nLocation: /round\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (!strcmp(word, "file"))
    return say(to, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (!strcmp(word, "no_range") && from)
    return say(to, "HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (!strcmp(word, "much")) {
    say(to, "HTTP/1.1 200 OK\r\n\r\n");
    char block[10000] = "";
    for (int i = 0; i < 5000; i++) put(to, block, sizeof block);
    return;
  }
  if (!strcmp(word, "tagged")) { /* the first time cut off; then there is another file, which is known by another tag */
    is_wrong = (*asked_for)++ > 0;
    if (strstr(asked, "If-Range: \"one\"") && is_wrong) from = 0;
    if (!is_wrong) upto = 40000;
  }
  if (!strcmp(word, "whole")) from = 0;
  if (from >= SIZE) return say(to, "HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (from) say(to, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%d/%d\r\n", from, SIZE - 1, SIZE);
  else say(to, "HTTP/1.1 200 OK\r\n");
  if (!strcmp(word, "tagged")) say(to, "Last-Modified: yesterday\r\netag:  \"%s\" \r\n", is_wrong ? "two" : "one");
  say(to, "Connection: close\r\nContent-Length: %zu\r\n\r\n", SIZE - from);
  if (!strcmp(word, "cut") && from + 40000 < upto) upto = from + 40000;
  if (!strcmp(word, "stall")) upto = 1000;
  for (size_t i = from; i < upto; i += 1000) {
    uint8_t piece[1000];
    for (size_t k = 0; k < sizeof piece; k++) piece[k] = (uint8_t)(byte_at(i + k) + is_wrong);
    put(to, piece, upto - i < sizeof piece ? upto - i : sizeof piece);
    if (!strcmp(word, "slow")) usleep(50000);
  }
  if (!strcmp(word, "stall")) sleep(30);
}

/* A socket that listens; its port. */
static int listen_somewhere(int *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  if (s < 0 || bind(s, (struct sockaddr *)&a, n) || listen(s, 20) || getsockname(s, (struct sockaddr *)&a, &n)) return -1;
  *port = ntohs(a.sin_port);
  return s;
}

static void serve(int s) {
  signal(SIGCHLD, SIG_IGN);
  for (int to; (to = accept(s, NULL, NULL)) >= 0; close(to))
    if (!fork()) {
      alarm(60);
      answer(to);
      shutdown(to, SHUT_WR);
      _exit(0);
    }
  _exit(0);
}

static pid_t server;
static int port;

static int start_server(void **state) {
  (void)state;
  const int s = listen_somewhere(&port);
  asked_for = mmap(NULL, sizeof *asked_for, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (s < 0 || asked_for == MAP_FAILED) return -1;
  server = fork();
  if (!server) {
    setpgid(0, 0);
    serve(s);
  }
  setpgid(server, server);
  close(s);
  return server < 0 ? -1 : 0;
}

static int stop_server(void **state) {
  (void)state;
  kill(-server, SIGKILL);
  return waitpid(server, NULL, 0) == server ? 0 : -1;
}

/* ---- the tests ------------------------------------------------------------------------------------------------------- */

static const char *url(const char *word) {
  static char text[64];
  snprintf(text, sizeof text, "http://127.0.0.1:%d/%s", port, word);
  return text;
}

/* Into the file "part", at most `most` bytes: 0 or -1. */
static int fetch(const char *word, uint64_t most) {
  ms_download_progress p = {0};
  ms_download *d =
      ms_download_begin(&(ms_download_wish){.url = url(word), .path = path("part"), .most = most, .connect = 5, .stall = 0.5});
  int rc = d ? 1 : -1;
  while (rc > 0) rc = ms_download_step(d, &p);
  ms_download_close(d);
  return rc;
}

static size_t part_size(void) {
  struct stat st;
  return stat(path("part"), &st) ? 0 : (size_t)st.st_size;
}

static void check_part(size_t size) {
  size_t n;
  uint8_t *bytes = ms_read_file(path("part"), 1 << 20, &n);
  assert_non_null(bytes);
  assert_int_equal(n, size);
  for (size_t i = 0; i < n; i++)
    if (bytes[i] != byte_at(i)) fail_msg("byte %zu", i);
  free(bytes);
}

static void put_part(size_t size) {
  uint8_t *bytes = malloc(size);
  for (size_t i = 0; i < size; i++) bytes[i] = byte_at(i);
  assert_int_equal(ms_write_file(path("part"), bytes, size), 0);
  free(bytes);
}

static void test_whole_file(void **state) {
  (void)state;
  assert_int_equal(fetch("good", 0), 0);
  check_part(SIZE);
  char md5[65], sha[65];
  assert_int_equal(ms_digest_file(path("part"), MS_MD5, md5), 0);
  assert_int_equal(ms_digest_file(path("part"), MS_SHA256, sha), 0);
  assert_int_equal(strlen(md5) + strlen(sha), 96);
  unlink(path("part"));
  assert_int_equal(fetch("moved", SIZE), 0); /* another address is followed */
  check_part(SIZE);
}

static void test_goes_on_where_it_was_cut_off(void **state) {
  (void)state;
  assert_int_equal(fetch("cut", 0), -1);
  failed("/cut: ", "(40000 bytes so far)");
  check_part(40000);
  assert_int_equal(fetch("cut", 0), -1);
  failed("(80000 bytes so far)");
  assert_int_equal(fetch("cut", 0), 0);
  check_part(SIZE);
}

/* A part of what the file was is not gone on with when the server says that it is another one now. */
static void test_another_file_at_the_address(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    ms_download_progress p = {0};
    ms_download_wish w = {.url = url("tagged"), .path = path("part"), .connect = 5, .stall = 5, .state = i ? "\"one\"" : NULL};
    ms_download *d = ms_download_begin(&w);
    assert_non_null(d);
    int rc = 1;
    while (rc > 0) rc = ms_download_step(d, &p);
    assert_int_equal(rc, i - 1);
    assert_string_equal(ms_download_state(d), i ? "\"two\"" : "\"one\"");
    ms_download_close(d);
  }
  size_t n;
  uint8_t *bytes = ms_read_file(path("part"), 1 << 20, &n);
  assert_int_equal(n, SIZE);
  for (size_t i = 0; i < n; i++)
    if (bytes[i] != (uint8_t)(byte_at(i) + 1)) fail_msg("byte %zu", i);
  free(bytes);
}

static void test_servers_that_do_not_know_parts(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    put_part(5000);
    assert_int_equal(fetch(i ? "whole" : "no_range", 0), 0);
    check_part(SIZE);
  }
  put_part(SIZE); /* all of it, and still asked for */
  assert_int_equal(fetch("good", 0), 0);
  check_part(SIZE);
}

static void test_what_goes_wrong(void **state) {
  (void)state;
  assert_int_equal(fetch("missing", 0), -1);
  failed("/missing: ", "404");
  assert_int_equal(part_size(), 0);
  assert_int_equal(fetch("round", 0), -1);
  failed("/round: ", "edirects");
  assert_int_equal(fetch("file", 0), -1);
  failed("/file: ", "rotocol");
  assert_int_equal(fetch("stall", 0), -1);
  failed("/stall: nothing came for 0.5 seconds", "(1000 bytes so far)");
  assert_int_equal(fetch("much", 50000), -1);
  failed("it sends more than the 50000 bytes that were expected");
  assert_true(part_size() <= 50000);
  put_part(60000); /* longer than what is wanted: no part of it */
  assert_int_equal(fetch("good", 50000), -1);
  failed("more than the 50000 bytes");
  const int before = port;
  const int s = listen_somewhere(&port);
  close(s);
  assert_int_equal(fetch("good", 0), -1);
  failed("127.0.0.1");
  port = before;
  assert_null(ms_download_begin(&(ms_download_wish){.url = "ftp://x/y", .path = path("part")}));
  failed("expected an address that begins with http");
  assert_null(ms_download_begin(&(ms_download_wish){.url = url("good"), .path = path("no/such")}));
  failed("no/such: cannot write");
}

static void test_one_at_a_time_and_interrupts(void **state) {
  (void)state;
  ms_download_progress p;
  ms_download *d = ms_download_begin(&(ms_download_wish){.url = url("slow"), .path = path("part"), .connect = 5, .stall = 5});
  assert_non_null(d);
  do assert_int_equal(ms_download_step(d, &p), 1);
  while (p.have < 3000);
  assert_int_equal(p.total, SIZE);
  assert_int_equal(fetch("good", 0), -1);
  failed("another process is downloading it");
  ms_interrupt();
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  while (ms_download_step(d, &p) == 1) {}
  failed("interrupted");
  ms_download_close(d);
  clock_gettime(CLOCK_MONOTONIC, &b);
  ms_interrupt_clear();
  assert_true((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec) < 3); /* 0.2 on a quiet machine */
  assert_int_equal(fetch("good", 0), 0);
  check_part(SIZE);
}

static void test_digests(void **state) {
  (void)state;
  static const struct {
    const char *text, *md5, *sha256;
  } known[] = {{"", "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
               {"abc", "900150983cd24fb0d6963f7d28e17f72", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
               {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "8215ef0796a20bcaaae116d3876c664a",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
  for (size_t i = 0; i < 3; i++)
    for (int kind = MS_MD5; kind <= MS_SHA256; kind++)
      for (size_t piece = 1; piece < 4; piece++) {
        ms_digest d;
        char out[65];
        ms_digest_begin(&d, kind);
        for (size_t at = 0, n = strlen(known[i].text); at < n; at += piece)
          ms_digest_add(&d, known[i].text + at, n - at < piece ? n - at : piece);
        ms_digest_end(&d, out);
        assert_string_equal(out, kind == MS_MD5 ? known[i].md5 : known[i].sha256);
      }
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--serve")) {
    if (start_server(NULL)) return 1;
    printf("%d\n", port);
    fflush(stdout);
    while (getchar() != EOF) {}
    return stop_server(NULL);
  }
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_whole_file),
                                     TEST(test_goes_on_where_it_was_cut_off),
                                     TEST(test_servers_that_do_not_know_parts),
                                     TEST(test_another_file_at_the_address),
                                     TEST(test_what_goes_wrong),
                                     TEST(test_one_at_a_time_and_interrupts),
                                     TEST(test_digests)};
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
