/* system.c -- module "mascon.system": folders, files written whole or not at all, other programs.
 *
 * Functions return nil (or false) and a message on failure, like Lua's io; misuse raises. */
#include "bind.h"
#include "embed.h"
#include "io/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int fail(lua_State *L, const char *what, const char *path, int err) {
  luaL_pushfail(L);
  lua_pushfstring(L, "%s %s: %s", what, path, strerror(err));
  return 2;
}

/* A name as C takes it: without a zero byte, which would cut it short. */
static const char *path_at(lua_State *L, int i) {
  size_t n;
  const char *path = luaL_checklstring(L, i, &n);
  luaL_argcheck(L, strlen(path) == n, i, "a zero byte in the name");
  return path;
}

/* system.mkdir(path) -> true, or nil and a message: makes the folder and those above it; there already is fine. */
static int system_mkdir(lua_State *L) {
  const char *path = path_at(L, 1);
  size_t n = strlen(path);
  char part[PATH_MAX];
  if (n == 0 || n >= sizeof part) return fail(L, "cannot make folder", path, ENAMETOOLONG);
  for (size_t i = 0; i <= n; i++) {
    part[i] = path[i];
    if (i == 0 || (path[i] != '/' && i < n) || path[i - 1] == '/') continue;
    part[i] = 0;
    if (mkdir(part, 0777) && errno != EEXIST) return fail(L, "cannot make folder", part, errno);
    part[i] = path[i];
  }
  struct stat st;
  if (stat(path, &st)) return fail(L, "cannot make folder", path, errno);
  if (!S_ISDIR(st.st_mode)) return fail(L, "cannot make folder", path, ENOTDIR);
  lua_pushboolean(L, 1);
  return 1;
}

/* system.kind(path) -> "file", "folder", "other", or nil when nothing is there. */
static int system_kind(lua_State *L) {
  struct stat st;
  if (stat(path_at(L, 1), &st)) luaL_pushfail(L);
  else lua_pushstring(L, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "folder" : "other");
  return 1;
}

/* nil and the stored message, which is forgotten. */
static int failed(lua_State *L) {
  luaL_pushfail(L);
  lua_pushstring(L, ms_error() ? ms_error() : "failed");
  ms_error_clear();
  return 2;
}

/* system.replace(path, text) -> true, or nil and a message. The text goes to a new file beside `path`, to the disk, then takes its
 * name: whoever reads `path` sees the old contents or the new, never a part. */
static int system_replace(lua_State *L) {
  size_t n;
  const char *path = path_at(L, 1), *text = luaL_checklstring(L, 2, &n);
  if (ms_write_file(path, text, n)) return failed(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* system.append(path, line) -> true, or nil and a message: one more line of JSON at the end of the file, whole or not at all
 * (ms_jsonl_append). */
static int system_append(lua_State *L) {
  size_t n;
  const char *path = path_at(L, 1), *line = luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, strlen(line) == n, 2, "a zero byte in the line");
  if (ms_jsonl_append(path, line, false)) return failed(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- folders ------------------------------------------------------------------------------------------------------- */

static int close_folder(lua_State *L) {
  DIR **d = luaL_checkudata(L, 1, "mascon.folder");
  if (*d) closedir(*d);
  *d = NULL;
  return 0;
}

/* system.list(folder) -> the names in it (not . and ..), in no order; nil and a message. */
static int system_list(lua_State *L) {
  const char *path = path_at(L, 1);
  lua_newtable(L);
  DIR **d = lua_newuserdatauv(L, sizeof *d, 0); /* closed by the collector if a push below raises */
  *d = NULL;
  if (msl_metatable(L, "mascon.folder")) {
    lua_pushcfunction(L, close_folder);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  if (!(*d = opendir(path))) return fail(L, "cannot list", path, errno);
  const struct dirent *e;
  for (lua_Integer n = 0; (e = readdir(*d));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
      lua_pushstring(L, e->d_name);
      lua_rawseti(L, -3, ++n);
    }
  closedir(*d);
  *d = NULL;
  lua_pop(L, 1);
  return 1;
}

#define LOCK "mascon.lock"

static int lock_close(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

/* system.lock(path) -> a lock, or nil, a message and (where another process has it) what that one wrote there. The file is made if
 * need be; it stays. The kernel gives the lock back when the process ends, however it ends; lock:close() and the collector before
 * that. On file systems without locks: nil, a message and false. */
static int system_lock(lua_State *L) {
  const char *path = path_at(L, 1);
  char who[80];
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  if (msl_metatable(L, LOCK)) {
    lua_pushcfunction(L, lock_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, lock_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, lock_close);
    lua_setfield(L, -2, "close");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  if ((*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666)) < 0)
    return fail(L, "cannot open", path, errno);
  int rc, tries = 4; /* whoever asks for the holder has the lock for some microseconds */
  while ((rc = flock(*fd, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK && --tries)
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
  if (rc) {
    int why = errno;
    ssize_t n = pread(*fd, who, sizeof who, 0);
    fail(L, "cannot lock", path, why);
    if (why == EWOULDBLOCK) lua_pushlstring(L, who, n > 0 ? (size_t)n : 0);
    else lua_pushboolean(L, 0);
    return 3;
  }
  int n = snprintf(who, sizeof who, "%ld\n", (long)getpid());
  if (ftruncate(*fd, 0) || pwrite(*fd, who, (size_t)n, 0) != n) { /* a full disk: it is locked all the same, by nobody known */
  }
  return 1;
}

/* system.holder(path) -> what the process wrote there that has the lock on this file (system.lock), or nil when none has. */
static int system_holder(lua_State *L) {
  char who[80];
  const int fd = open(path_at(L, 1), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return luaL_pushfail(L), 1;
  const bool free = !flock(fd, LOCK_SH | LOCK_NB) || errno != EWOULDBLOCK;
  const ssize_t n = free ? 0 : pread(fd, who, sizeof who, 0);
  close(fd);
  if (free) luaL_pushfail(L);
  else lua_pushlstring(L, who, n > 0 ? (size_t)n : 0);
  return 1;
}

/* system.readlink(path) -> where the link leads, or nil. */
static int system_readlink(lua_State *L) {
  char to[PATH_MAX];
  const ssize_t n = readlink(path_at(L, 1), to, sizeof to);
  if (n < 0 || n == (ssize_t)sizeof to) luaL_pushfail(L);
  else lua_pushlstring(L, to, (size_t)n);
  return 1;
}

/* system.exit_code() -> the code that the script ended with, or nil: it runs. */
static int system_exit_code(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "mascon.exit_code");
  return 1;
}

/* system.stamp(path) -> a text that is another one once the file was written or replaced, or nil where there is none. */
static int system_stamp(lua_State *L) {
  struct stat st;
  if (stat(path_at(L, 1), &st) || !S_ISREG(st.st_mode)) return luaL_pushfail(L), 1;
  lua_pushfstring(L, "%I.%I %I %I", (LUAI_UACINT)st.st_mtim.tv_sec, (LUAI_UACINT)st.st_mtim.tv_nsec, (LUAI_UACINT)st.st_size,
                  (LUAI_UACINT)st.st_ino);
  return 1;
}

/* system.sleep(seconds): less where a signal comes. */
static int system_sleep(lua_State *L) {
  const lua_Number s = luaL_checknumber(L, 1);
  luaL_argcheck(L, s >= 0 && s < 1e6, 1, "expected a number from 0 on");
  nanosleep(&(struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)((s - (lua_Number)(time_t)s) * 1e9)}, NULL);
  return 0;
}

/* system.alive(pid) -> is there such a process? */
static int system_alive(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  lua_pushboolean(L, pid > 0 && pid <= INT_MAX && (!kill((pid_t)pid, 0) || errno == EPERM));
  return 1;
}

/* system.pid() -> the number of this process, for temporary names. */
static int system_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* ---- other programs ------------------------------------------------------------------------------------------------ */

/* What a program says: one text, grown as it comes. */
typedef struct output {
  int fd; /* -1: closed */
  char *at;
  size_t n, room;
} output;

/* Take what is there; 0, or an errno. */
static int read_output(output *o) {
  if (o->room - o->n < 4096) {
    char *more = realloc(o->at, o->room ? 2 * o->room : 1 << 16);
    if (!more) return ENOMEM;
    o->at = more;
    o->room = o->room ? 2 * o->room : 1 << 16;
  }
  ssize_t r = read(o->fd, o->at + o->n, o->room - o->n);
  if (r > 0) o->n += (size_t)r;
  else if (r == 0 || errno == ECONNRESET) close(o->fd), o->fd = -1;
  else if (errno != EINTR && errno != EAGAIN) return errno;
  return 0;
}

/* Feed `input` to o[0], a socket, and collect what comes back from it and from o[1] until the other side closes both. 0, or an
 * errno. MSG_NOSIGNAL: a program that ends without reading everything costs no SIGPIPE here. */
static int converse(output o[2], const char *input, size_t n) {
  size_t done = 0;
  if (n == 0) shutdown(o[0].fd, SHUT_WR);
  while (o[0].fd >= 0 || o[1].fd >= 0) {
    struct pollfd p[2] = {{.fd = o[0].fd, .events = (short)(POLLIN | (done < n ? POLLOUT : 0))}, {.fd = o[1].fd, .events = POLLIN}};
    if (poll(p, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (o[0].fd >= 0 && done < n && (p[0].revents & POLLOUT)) {
      ssize_t w = send(o[0].fd, input + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (w > 0) done += (size_t)w;
      else if (errno == EPIPE || errno == ECONNRESET) done = n;
      else if (errno != EINTR && errno != EAGAIN) return errno;
      if (done == n) shutdown(o[0].fd, SHUT_WR);
    }
    for (int i = 0; i < 2; i++)
      if (o[i].fd >= 0 && (p[i].revents & (POLLIN | POLLHUP | POLLERR))) {
        int err = read_output(&o[i]);
        if (err) return err;
      }
  }
  return 0;
}

static int spawn(pid_t *pid, char **argv, int fd, int complaints) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  for (int to = 0; to <= 2; to++) posix_spawn_file_actions_adddup2(&actions, to < 2 ? fd : complaints, to);
  int err = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return err;
}

/* The memory and the descriptors of a conversation; freed by the collector when something raises. */
static int outputs_gc(lua_State *L) {
  output *o = luaL_checkudata(L, 1, "mascon.outputs");
  for (int i = 0; i < 2; i++) {
    if (o[i].fd >= 0) close(o[i].fd);
    free(o[i].at);
    o[i] = (output){.fd = -1};
  }
  return 0;
}

static output *new_outputs(lua_State *L) {
  output *o = lua_newuserdatauv(L, 2 * sizeof *o, 0);
  o[0] = o[1] = (output){.fd = -1};
  if (msl_metatable(L, "mascon.outputs")) {
    lua_pushcfunction(L, outputs_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return o;
}

/* system.run({program, argument, ...}, [input]) -> exit status, what it printed, what it wrote to standard error; nil and a message
 * when it cannot be started. A program killed by signal N has status 128 + N. No shell is involved. */
static int system_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t n;
  const char *input = luaL_optlstring(L, 2, "", &n);
  int argc = (int)luaL_len(L, 1), in[2], err[2], status = 0;
  luaL_argcheck(L, argc > 0 && argc < 1000, 1, "expected {program, argument, ...}");
  luaL_checkstack(L, argc + 10, NULL);
  char **argv = lua_newuserdatauv(L, sizeof(char *) * (size_t)(argc + 1), 0);
  for (int i = 0; i < argc; i++) {
    lua_rawgeti(L, 1, i + 1);
    size_t length;
    argv[i] = (char *)luaL_checklstring(L, -1, &length);
    if (strlen(argv[i]) != length) return luaL_error(L, "run: argument %d has a zero byte in it", i);
  }
  argv[argc] = NULL;
  output *o = new_outputs(L);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in)) return fail(L, "cannot start", argv[0], errno);
  o[0].fd = in[0];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, err)) return close(in[1]), fail(L, "cannot start", argv[0], errno);
  o[1].fd = err[0];
  pid_t pid;
  int why = spawn(&pid, argv, in[1], err[1]);
  close(in[1]);
  close(err[1]);
  if (why) return fail(L, "cannot start", argv[0], why);
  why = converse(o, input, n);
  for (int i = 0; i < 2; i++)
    if (o[i].fd >= 0) close(o[i].fd), o[i].fd = -1;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (why) return fail(L, "cannot talk to", argv[0], why);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  for (int i = 0; i < 2; i++) lua_pushlstring(L, o[i].at ? o[i].at : "", o[i].n);
  return 3;
}

/* Inside the program mascon (not a stock lua5.4)? Inside the walls of its --sandbox? */
static int flag(lua_State *L, const char *name) {
  return lua_pushboolean(L, lua_getfield(L, LUA_REGISTRYINDEX, name) != LUA_TNIL), 1;
}
static int system_program(lua_State *L) { return flag(L, "mascon.program"); }
static int system_sandboxed(lua_State *L) { return flag(L, "mascon.sandbox"); }

int luaopen_mascon_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"mkdir", system_mkdir},
                                       {"kind", system_kind},
                                       {"replace", system_replace},
                                       {"append", system_append},
                                       {"list", system_list},
                                       {"lock", system_lock},
                                       {"alive", system_alive},
                                       {"pid", system_pid},
                                       {"run", system_run},
                                       {"holder", system_holder},
                                       {"readlink", system_readlink},
                                       {"stamp", system_stamp},
                                       {"sleep", system_sleep},
                                       {"exit_code", system_exit_code},
                                       {"program", system_program},
                                       {"sandboxed", system_sandboxed},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
