/* driver.c -- finds and opens NVIDIA's driver at run time. */
#include "driver.h"
#include "mascon.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

/* In the folders that MASCON_CUDA_LIBS names, with colons between them; then where the system looks. */
static void *open_library(void) {
  const char *folders = getenv("MASCON_CUDA_LIBS");
  for (const char *at = folders ? folders : ""; *at;) {
    const size_t n = strcspn(at, ":");
    char path[1024];
    const int written = snprintf(path, sizeof path, "%.*s/" LIBRARY, (int)n, at);
    void *so = n && written < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (so) return so;
    at += n + (at[n] == ':');
  }
  return dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static bool find_functions(void *so, ms_cuda_driver *d) {
#define FUNCTION(name, symbol, parameters)                                                                                         \
  if (!(*(void **)&d->name = dlsym(so, #symbol)))                                                                                  \
    return ms_fail("no cuda device: the NVIDIA driver is too old: its " LIBRARY " has no %s", #symbol), false;
  MS_CUDA_FUNCTIONS(FUNCTION)
#undef FUNCTION
  return true;
}

const ms_cuda_driver *ms_cuda_open_driver(void) {
  static ms_cuda_driver driver;
  static bool ready;
  if (ready) return &driver;
  void *so = open_library();
  if (!so) return ms_fail("no cuda device: no NVIDIA driver is installed here (%s); device cpu works everywhere", dlerror());
  int version = 0;
  if (!find_functions(so, &driver)) return dlclose(so), NULL;
  driver.driver_version(&version);
  if (version < MS_CUDA_OLDEST) {
    ms_fail("no cuda device: the NVIDIA driver is too old: it is of CUDA %d.%d, needed is %d.%d or newer", version / 1000,
            version % 1000 / 10, MS_CUDA_OLDEST / 1000, MS_CUDA_OLDEST % 1000 / 10);
    return dlclose(so), NULL;
  }
  const CUresult rc = driver.init(0);
  const char *why = NULL;
  if (rc == MS_CUDA_NO_DEVICE) return ms_fail("no cuda device: there is an NVIDIA driver, but it finds no GPU");
  if (rc) {
    driver.error_string(rc, &why);
    return ms_fail("no cuda device: the NVIDIA driver does not start: %s (error %d)", why ? why : "for a reason it has no name for",
                   (int)rc);
  }
  ready = true;
  return &driver;
}
