/* mapped.c -- mapped files, and what happens when one is cut short meanwhile: SIGBUS at the page that is no more. The handler puts
 * a page of zeros there and remembers the mapping; ms_mapped_check says it when the call that looked is over. A fault anywhere else
 * goes to whoever handled it before. */
#include "io/mapped.h"
#include "io/source.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct ms_mapping {
  char *base; /* whole pages */
  size_t length, skip;
  char *name;
  ms_mapping *next;
};

static ms_mapping *mappings;
static volatile sig_atomic_t any_torn;
static char torn_name[512];
static struct sigaction before;
static bool installed;
static size_t page;

static void on_bus(int sig, siginfo_t *info, void *context) {
  (void)context;
  char *at = info->si_addr;
  for (ms_mapping *m = mappings; m; m = m->next) {
    if (at < m->base || at >= m->base + m->length) continue;
    char *whole = (char *)((uintptr_t)at & ~(uintptr_t)(page - 1));
    if (mmap(whole, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) break;
    if (!any_torn) {
      size_t n = strlen(m->name);
      if (n >= sizeof torn_name) n = sizeof torn_name - 1;
      memcpy(torn_name, m->name, n);
      torn_name[n] = 0;
    }
    any_torn = 1;
    return;
  }
  sigaction(sig, &before, NULL); /* not ours: the fault happens again, and is theirs */
  installed = false;
}

int ms_mapped_check(void) {
  if (!any_torn) return 0;
  any_torn = 0;
  ms_fail("%s: the file became shorter while it was mapped (mmap = true); what was beyond its end reads as zeros: its tensors are "
          "not to "
          "be used any more",
          torn_name);
  return -1;
}

static int install(void) {
  if (installed) return 0;
  struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigemptyset(&sa.sa_mask);
  page = (size_t)sysconf(_SC_PAGESIZE);
  return sigaction(SIGBUS, &sa, &before) ? -1 : (installed = true, 0);
}

ms_mapping *ms_map(const char *path, uint64_t at, size_t bytes) {
  uint64_t size;
  int fd = ms_open_plain(path, &size);
  if (fd < 0) return NULL;
  ms_mapping *m = calloc(1, sizeof *m);
  if (!m || install() || !(m->name = strdup(path))) ms_fail("%s: cannot map: %s", path, strerror(errno));
  else if (at > size || bytes > size - at) ms_fail("%s: it became shorter while it was read", path);
  else {
    m->skip = (size_t)(at % page);
    m->length = m->skip + bytes;
    m->base = mmap(NULL, m->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)(at - m->skip));
    if (m->base != MAP_FAILED) {
      close(fd);
      m->next = mappings;
      return mappings = m;
    }
    ms_fail("%s: cannot map: %s", path, strerror(errno));
  }
  close(fd);
  if (m) free(m->name);
  free(m);
  return NULL;
}

void *ms_mapped_data(const ms_mapping *m) { return m->base + m->skip; }

void ms_unmap(void *mapping) {
  ms_mapping *m = mapping;
  for (ms_mapping **p = &mappings; *p; p = &(*p)->next)
    if (*p == m) {
      *p = m->next;
      break;
    }
  munmap(m->base, m->length);
  free(m->name);
  free(m);
}
