/* history.c -- the prompt's history file. A history that cannot be read or written is no error: the prompt goes on without. */
#include "history.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folders(char *path) {
  for (char *p = path + 1; *p; p++)
    if (*p == '/') {
      *p = 0;
      int bad = mkdir(path, 0700) && errno != EEXIST;
      *p = '/';
      if (bad) return -1;
    }
  return 0;
}

const char *ms_history_path(void) {
  static char path[PATH_MAX];
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  struct stat st; /* a home that is not there is not made */
  int n;
  if (state && *state == '/') n = snprintf(path, sizeof path, "%s/mascon/history", state);
  else if (home && *home == '/' && !stat(home, &st) && S_ISDIR(st.st_mode))
    n = snprintf(path, sizeof path, "%s/.local/state/mascon/history", home);
  else return NULL;
  return n > 0 && (size_t)n < sizeof path && make_folders(path) == 0 ? path : NULL;
}

static void unescape(char *s) {
  char *to = s;
  for (; *s && *s != '\n'; s++) {
    if (*s == '\\' && s[1]) {
      s++;
      *to++ = *s == 'n' ? '\n' : *s;
    } else *to++ = *s;
  }
  *to = 0;
}

/* Keep the last entries only: a new file beside the old one, then rename. Called with the file open at its start. */
static void keep_last(const char *path, FILE *f, int skip) {
  char new_path[PATH_MAX + 8];
  snprintf(new_path, sizeof new_path, "%s.new", path);
  int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
  if (!out) return;
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, f) > 0)
    if (skip-- <= 0) fputs(line, out);
  free(line);
  int bad = ferror(out);
  if (fclose(out) || bad || rename(new_path, path)) unlink(new_path);
}

void ms_history_load(const char *path, int keep, void (*each)(void *data, const char *entry), void *data) {
  FILE *f = fopen(path, "r");
  if (!f) return;
  char *line = NULL;
  size_t size = 0;
  int count = 0;
  while (getline(&line, &size, f) > 0) count++;
  int skip = count > keep ? count - keep : 0;
  rewind(f);
  for (int i = 0; getline(&line, &size, f) > 0; i++)
    if (i >= skip) {
      unescape(line);
      each(data, line);
    }
  free(line);
  if (count > 2 * keep) {
    rewind(f);
    keep_last(path, f, skip);
  }
  fclose(f);
}

void ms_history_append(const char *path, const char *entry) {
  size_t n = strlen(entry), at = 0;
  char *line = malloc(2 * n + 1);
  if (!line) return;
  for (; *entry; entry++) {
    if (*entry == '\n' || *entry == '\\') {
      line[at++] = '\\';
      line[at++] = *entry == '\n' ? 'n' : '\\';
    } else line[at++] = *entry;
  }
  line[at++] = '\n';
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0) {
    if (write(fd, line, at) < 0) errno = 0;
    close(fd);
  }
  free(line);
}
