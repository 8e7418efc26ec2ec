/* compile.c -- compiles the Lua part of the library while mascon is built, so that a start reads it instead of parsing it (a tenth
 * of the time). A program of its own, linked with the Lua that the program has inside: bytecode is for that Lua alone.
 *
 *   embed_compile FOLDER scripts/mascon/nn/init.lua ...      writes FOLDER/nn.init, ...
 *
 * Names of chunks are those that embed.c gives (=mascon/nn/init.lua), and lines and names of variables stay in: errors and
 * tracebacks are the same as from the text. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char root[] = "scripts/mascon/", ending[] = ".lua";

static int put(lua_State *L, const void *bytes, size_t n, void *file) {
  (void)L;
  return fwrite(bytes, 1, n, file) != n;
}

/* Compile one file; false after a message. */
static int compile(const char *folder, const char *path) {
  size_t n = strlen(path), prefix = sizeof root - 1, suffix = sizeof ending - 1;
  if (n <= prefix + suffix || strncmp(path, root, prefix) || strcmp(path + n - suffix, ending)) {
    fprintf(stderr, "embed_compile: expected %sNAME%s, got %s\n", root, ending, path);
    return 0;
  }
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("embed_compile: no memory\n", stderr);
    return 0;
  }
  int done = 0;
  lua_pushfstring(L, "=mascon/%s", path + prefix);
  FILE *in = fopen(path, "rb");
  char *text = NULL;
  long size = in && !fseek(in, 0, SEEK_END) ? ftell(in) : -1;
  if (size >= 0 && (text = malloc((size_t)size + 1)) && !fseek(in, 0, SEEK_SET) &&
      fread(text, 1, (size_t)size, in) == (size_t)size) {
    if (luaL_loadbufferx(L, text, (size_t)size, lua_tostring(L, 1), "t") == LUA_OK) {
      lua_pushlstring(L, path + prefix, n - prefix - suffix);
      const char *name = luaL_gsub(L, lua_tostring(L, -1), "/", ".");
      FILE *out = fopen(lua_pushfstring(L, "%s/%s", folder, name), "wb");
      lua_pushvalue(L, 2);
      int failed = !out || lua_dump(L, put, out, 0);
      if (out && fclose(out)) failed = 1;
      if (failed) fprintf(stderr, "embed_compile: cannot write %s/%s\n", folder, name);
      done = !failed;
    } else fprintf(stderr, "%s\n", lua_tostring(L, -1));
  } else fprintf(stderr, "embed_compile: cannot read %s\n", path);
  if (in) fclose(in);
  free(text);
  lua_close(L);
  return done;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: embed_compile FOLDER FILE...\n", stderr);
    return 2;
  }
  for (int i = 2; i < argc; i++)
    if (!compile(argv[1], argv[i])) return 1;
  return 0;
}
