/* mascon.c -- luaopen_mascon: the module table `ms`. The C part is filled in here; the Lua part comes in on first use (embed.h). */
#include "bind.h"
#include "embed.h"
#include "interrupt.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void msl_open_gc(lua_State *L);

void msl_inside(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  luaL_getsubtable(L, -1, "mascon.inside");
  lua_remove(L, -2);
}

/* An environment variable of ours with a word that means nothing is an error, not ignored. (The core reads MASCON_THREADS.) */
static void check_environment(lua_State *L) {
  static const struct {
    const char *name, *words[4];
  } known[] = {{"MASCON_ISA", {"v2", "v3", "v4"}}, {"MASCON_AMX", {"0", "1"}},      {"MASCON_COMPILE", {"on", "off", "check"}},
               {"MASCON_PROFILE", {"0", "1"}},     {"MASCON_GCSTRESS", {"0", "1"}}, {"MASCON_TRACEBACK", {"short", "full"}}};
  struct stat st;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const char *value = getenv(known[i].name), *const *word = known[i].words;
    if (!value || !*value) continue;
    while (*word && strcmp(*word, value)) word++;
    if (*word) continue;
    word = known[i].words;
    luaL_error(L, word[2] ? "%s: expected %s, %s or %s, got '%s'" : "%s: expected %s or %s, got '%s'", known[i].name, word[0],
               word[1], word[2] ? word[2] : value, value);
  }
  const char *folder = getenv("MASCON_LUA");
  if (folder && *folder && (stat(folder, &st) || !S_ISDIR(st.st_mode)))
    luaL_error(L, "MASCON_LUA: expected a folder, got '%s'", folder);
  if (folder && *folder && !ms_lua_stands_in(folder))
    luaL_error(L, "MASCON_LUA: no file in '%s' has the name of one of the library's (scripts/mascon/*.lua)", folder);
}

__attribute__((visibility("default"))) int luaopen_mascon(lua_State *L) {
  if (ms_threads_check() < 0) {
    lua_pushstring(L, ms_error());
    ms_error_clear();
    return luaL_error(L, "%s", lua_tostring(L, -1));
  }
  check_environment(L);
  lua_newtable(L);
  lua_pushstring(L, MS_VERSION);
  lua_setfield(L, -2, "version");
  msl_open_gc(L);
  msl_open_coroutine(L);
  msl_open_protect(L);
  msl_open_seeded(L);
  lua_newtable(L); /* methods of tensors */
  msl_open_shape(L);
  msl_open_tensor(L);
  msl_open_events(L);
  msl_open_indexing(L);
  msl_open_ops(L);
  msl_open_composed(L);
  msl_open_grad(L);
  msl_open_custom(L);
  msl_open_recompute(L);
  msl_open_random(L);
  msl_open_flops(L);
  msl_open_device(L);
  msl_open_modes(L);
  msl_open_host(L);
  msl_open_data(L);
  msl_open_mat(L);
  msl_open_download(L);
  msl_open_pictures(L);
  msl_open_files(L);
  msl_open_tensorboard(L);
  msl_open_formats(L);
  msl_open_csv(L);
  msl_open_folder(L);
  msl_open_ml(L);
  msl_open_compile(L);
  msl_open_protos(L);
  lua_setfield(L, -2, "methods"); /* ms.methods: scripts may add their own */
  ms_lua_library(L);
  return 1;
}
