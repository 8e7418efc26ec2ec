/* cores.c -- how many cores this process may use: those it is bound to, and no more than its control groups grant time for. */
#define _GNU_SOURCE
#include "core.h"
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How many cores' time the quota of one control group grants; INFINITY when it has no quota. Version 2 of control groups keeps
 * quota and period in one file ("max 100000" or "50000 100000"), version 1 has a file for each. */
static double quota_of(const char *folder) {
  char path[700], text[64];
  double quota = -1, period = 100000;
  snprintf(path, sizeof path, "%s/cpu.max", folder);
  FILE *f = fopen(path, "r");
  if (f) {
    if (!fgets(text, sizeof text, f) || sscanf(text, "%lf %lf", &quota, &period) < 1) quota = -1;
    fclose(f);
  } else {
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if ((f = fopen(path, "r"))) {
      if (fscanf(f, "%lf", &quota) != 1) quota = -1;
      fclose(f);
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if ((f = fopen(path, "r"))) {
      if (fscanf(f, "%lf", &period) != 1) period = 100000;
      fclose(f);
    }
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

/* The least quota of the group and those above it, at `root` with the group's path below it. */
static double quota_below(const char *root, const char *group) {
  char folder[600];
  double least = INFINITY;
  const int n = snprintf(folder, sizeof folder, "%s%s", root, group), base = (int)strlen(root);
  if (n >= (int)sizeof folder) return INFINITY;
  for (char *end = folder + n;; end = strrchr(folder, '/')) {
    if (end < folder + base) end = folder + base;
    *end = 0;
    const double q = quota_of(folder);
    if (q < least) least = q;
    if (end == folder + base) return least;
  }
}

double ms_cpu_quota(const char *groups, const char *root) {
  double least = INFINITY;
  FILE *f = fopen(groups, "r");
  char line[512], where[600];
  while (f && fgets(line, sizeof line, f)) { /* ID:CONTROLLERS:PATH */
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(++controllers, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    const char *const mounted[] = {"", "/unified", "/cpu", "/cpu,cpuacct"};
    bool cpu = !*controllers; /* version 2 */
    for (char *c = controllers, *rest; *c; c = rest) {
      rest = c + strcspn(c, ",");
      cpu |= rest - c == 3 && !strncmp(c, "cpu", 3);
      rest += *rest == ',';
    }
    for (size_t i = 0; cpu && i < sizeof mounted / sizeof *mounted; i++) {
      snprintf(where, sizeof where, "%s%s", root, mounted[i]);
      const double q = quota_below(where, path);
      if (q < least) least = q;
    }
  }
  if (f) fclose(f);
  return least;
}

int ms_cores(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
  const double quota = ms_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  if (quota < n) n = (int)lround(quota);
  return n < 1 ? 1 : n;
}
