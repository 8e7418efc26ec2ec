/* system.c -- module "mascon.system": folders, files written whole or not at all, other programs.
 *
 * Functions return nil (or false) and a message on failure, like Lua's io; misuse raises. */
#include "embed.h"
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int fail(lua_State *L, const char *what, const char *path, int err) {
  luaL_pushfail(L);
  lua_pushfstring(L, "%s %s: %s", what, path, strerror(err));
  return 2;
}

/* system.mkdir(path) -> true, or nil and a message: makes the folder and those above it; there already is fine. */
static int system_mkdir(lua_State *L) {
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
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
  if (stat(luaL_checkstring(L, 1), &st)) luaL_pushfail(L);
  else lua_pushstring(L, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "folder" : "other");
  return 1;
}

/* system.replace(path, text) -> true, or nil and a message. The text goes to a new file beside `path`, to the disk, then takes its
 * name: whoever reads `path` sees the old contents or the new, never a part. */
static int system_replace(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t n, done = 0;
  const char *text = luaL_checklstring(L, 2, &n);
  const char *temporary = lua_pushfstring(L, "%s.%d.new", path, (int)getpid());
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return fail(L, "cannot write", path, errno);
  int err = 0;
  while (done < n && !err) {
    ssize_t w = write(fd, text + done, n - done);
    if (w > 0) done += (size_t)w;
    else if (errno != EINTR) err = errno ? errno : EIO;
  }
  if (!err && fsync(fd) && errno != EINVAL) err = errno;
  if (close(fd) && !err) err = errno;
  if (!err && rename(temporary, path)) err = errno;
  if (err) {
    unlink(temporary);
    return fail(L, "cannot write", path, err);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* system.pid() -> the number of this process, for temporary names. */
static int system_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* Feed `input` to the socket and collect what comes back until the other side closes. 0, or an errno. MSG_NOSIGNAL: a program that
 * ends without reading everything costs no SIGPIPE here. */
static int converse(int fd, const char *input, size_t n, luaL_Buffer *out) {
  size_t done = 0;
  if (n == 0) shutdown(fd, SHUT_WR);
  for (;;) {
    struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (done < n ? POLLOUT : 0))};
    if (poll(&p, 1, -1) < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
      ssize_t r = recv(fd, luaL_prepbuffer(out), LUAL_BUFFERSIZE, 0);
      if (r > 0) luaL_addsize(out, (size_t)r);
      else if (r == 0 || errno == ECONNRESET) return 0;
      else if (errno != EINTR) return errno;
    }
    if (done < n && (p.revents & POLLOUT)) {
      ssize_t w = send(fd, input + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (w > 0) done += (size_t)w;
      else if (errno == EPIPE || errno == ECONNRESET) done = n;
      else if (errno != EINTR && errno != EAGAIN) return errno;
      if (done == n) shutdown(fd, SHUT_WR);
    }
  }
}

static int spawn(pid_t *pid, char **argv, int fd) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  for (int to = 0; to <= 2; to++) posix_spawn_file_actions_adddup2(&actions, fd, to);
  int err = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return err;
}

/* system.run({program, argument, ...}, [input]) -> exit status, everything it printed (standard output and error together);
 * nil and a message when it cannot be started. A program killed by signal N has status 128 + N. No shell is involved. */
static int system_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t n;
  const char *input = luaL_optlstring(L, 2, "", &n);
  int argc = (int)luaL_len(L, 1), ends[2], status = 0;
  luaL_argcheck(L, argc > 0 && argc < 1000, 1, "expected {program, argument, ...}");
  luaL_checkstack(L, argc + 10, NULL);
  char **argv = lua_newuserdatauv(L, sizeof(char *) * (size_t)(argc + 1), 0);
  for (int i = 0; i < argc; i++) {
    lua_rawgeti(L, 1, i + 1);
    argv[i] = (char *)luaL_checkstring(L, -1);
  }
  argv[argc] = NULL;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return fail(L, "cannot start", argv[0], errno);
  pid_t pid;
  int err = spawn(&pid, argv, ends[1]);
  close(ends[1]);
  if (err) {
    close(ends[0]);
    return fail(L, "cannot start", argv[0], err);
  }
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  err = converse(ends[0], input, n, &out);
  close(ends[0]);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  luaL_pushresult(&out);
  if (err) return fail(L, "cannot talk to", argv[0], err);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  lua_insert(L, -2);
  return 2;
}

int luaopen_mascon_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"mkdir", system_mkdir}, {"kind", system_kind}, {"replace", system_replace},
                                       {"pid", system_pid},     {"run", system_run},   {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
