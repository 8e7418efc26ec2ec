/* embed.h -- the Lua part of the library inside the binary, and the small C modules it stands on.
 *
 * scripts/mascon/NAME.lua is module "mascon.NAME", scripts/mascon/FOLDER/NAME.lua "mascon.FOLDER.NAME". The text is embedded
 * (embed.mk); MASCON_LUA=DIR in the environment takes DIR/NAME.lua first, for people who work on the library itself. A module is
 * loaded on first use only.
 */
#ifndef MASCON_EMBED_H
#define MASCON_EMBED_H
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* The library's table `ms` (bind.c). Opens as any Lua C module; returns 1. */
int luaopen_mascon(lua_State *L);

/* Small C modules for the Lua part: "mascon.term" (terminal, clock) and "mascon.system" (folders, files, processes). */
int luaopen_mascon_term(lua_State *L);
int luaopen_mascon_system(lua_State *L);
/* "mascon.jansson": the reader behind mascon.json. */
int luaopen_mascon_jansson(lua_State *L);

/* Make require find "mascon.NAME": one entry in package.searchers, before the ones that look at files. A second call does nothing.
 */
void ms_lua_searcher(lua_State *L);

/* From here on load, loadfile, dofile and require take text only, no bytecode (bytecode.c). Before ms_lua_searcher. */
void ms_text_only(lua_State *L);
/* Lua's message about a binary chunk, if that is what lies on top, says what allows it. */
void ms_say_refused(lua_State *L);

/* Open a plain file to read it once more, for what Lua read from it; NULL: there is none, or it is a pipe, which gives its text
 * once and would keep us waiting. */
FILE *ms_reopen(const char *path);

/* Keep the text of a file that was loaded as Lua, under registry["mascon.texts"][path]: scripts/mascon/watch.lua compares with it.
 */
void ms_keep_text(lua_State *L, const char *path);

/* The library's Lua keeps the globals as they are now: at the prompt anybody may write `type = 3`. */
void ms_lua_own_globals(lua_State *L);

/* Push the value of module "mascon.NAME", loading it if this is its first use; returns 1. Raises if there is none or it fails. */
int ms_lua_require(lua_State *L, const char *name);

/* With `ms` on top of the stack: ms_lua_searcher, and a metatable by which ms.NAME loads module "mascon.NAME" on first use
 * (ms.args, ms.progress, ms.plot, ms.meter, ms.run, ms.json, ms.global, ms.time ...). What `ms` holds already is not touched,
 * and neither is an __index its metatable has. luaopen_mascon calls this last. */
void ms_lua_library(lua_State *L);

/* Give the table on top, known to users as `where` ("ms.image"), an error with a hint for names that it does not have. */
void ms_lua_name_hints(lua_State *L, const char *where);

/* Has the folder (MASCON_LUA) a file that stands in for a module of the library? */
bool ms_lua_stands_in(const char *folder);

#endif
