/* sandbox.c -- the walls of mascon --sandbox: Landlock for files, seccomp for processes and sockets, limits for memory and time. */
#define _GNU_SOURCE /* O_PATH, CLONE_THREAD */
#include "sandbox.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* kernels/cpu/conv/onednn.c: opens oneDNN, once; inside the walls no library can be opened any more. */
bool ms_dnn_ready(void);

/* ---- what the command line says ------------------------------------------------------------------------------------ */

bool ms_sandbox_memory(ms_sandbox *s, const char *size) {
  char *end;
  errno = 0;
  double n = strtod(size, &end);
  if (end == size || !isfinite(n) || n <= 0) return false;
  static const char units[] = "KMGT";
  const char *u = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
  if (u && *u) n *= ldexp(1, 10 * (int)(u - units + 1)), end++;
  if (*end || n < 1 << 26 || n > ldexp(1, 60)) return false; /* 64 MB at least: the program itself needs some */
  s->memory = (long long)n;
  return true;
}

bool ms_sandbox_seconds(ms_sandbox *s, const char *seconds) {
  char *end;
  double n = strtod(seconds, &end);
  if (end == seconds || *end || !(n >= 0.01 && n <= 1e8)) return false;
  s->seconds = n;
  return true;
}

/* ---- time and memory ----------------------------------------------------------------------------------------------- */

static char time_text[96];

static void time_over(int signal) {
  (void)signal;
  if (write(STDERR_FILENO, time_text, strlen(time_text)) < 0) _exit(MS_EXIT_TIME);
  _exit(MS_EXIT_TIME);
}

/* Time ends the process at once, so that what was printed must not wait in a buffer: a line of it goes out as a whole. */
static bool limits(const ms_sandbox *s) {
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  snprintf(time_text, sizeof time_text, "\nmascon: the script's time is over (--time %g seconds)\n", s->seconds);
  struct sigaction action = {.sa_handler = time_over};
  const double whole = floor(s->seconds);
  const struct itimerval t = {.it_value = {.tv_sec = (time_t)whole, .tv_usec = (suseconds_t)((s->seconds - whole) * 1e6)}};
  const struct rlimit memory = {(rlim_t)s->memory, (rlim_t)s->memory}, none = {0, 0};
  if (!sigaction(SIGALRM, &action, NULL) && !setitimer(ITIMER_REAL, &t, NULL) && !setrlimit(RLIMIT_DATA, &memory) &&
      !setrlimit(RLIMIT_CORE, &none))
    return true;
  fprintf(stderr, "mascon: --sandbox: limits could not be set: %s\n", strerror(errno));
  return false;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* No links by name, devices, sockets or pipes: a run without walls that writes there later would be led astray. */
#define WRITING                                                                                                                    \
  (READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                      \
   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)
#ifdef LANDLOCK_ACCESS_FS_REFER
#define REFER LANDLOCK_ACCESS_FS_REFER
#else
#define REFER (1ULL << 13)
#endif
#define TRUNCATE  (1ULL << 14)
#define IOCTL_DEV (1ULL << 15)

/* All rights that the running kernel knows: what no rule gives is refused. */
static __u64 known_rights(long abi) {
  __u64 all = (1ULL << 13) - 1;
  if (abi >= 2) all |= REFER;
  if (abi >= 3) all |= TRUNCATE;
  if (abi >= 5) all |= IOCTL_DEV;
  return all;
}

static bool allow(int rules, const char *path, __u64 rights, const char *option) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
  if (fd >= 0 && !syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0)) return !close(fd);
  fprintf(stderr, "mascon: --sandbox: %s %s: %s\n", option, path, strerror(errno));
  if (fd >= 0) close(fd);
  return false;
}

static bool make_folder(const char *path) {
  char part[4096];
  if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) return false;
  for (char *p = part + 1;; p++) {
    if (*p && *p != '/') continue;
    const char was = *p;
    *p = 0;
    if (mkdir(part, 0777) && errno != EEXIST) break;
    if (!(*p = was)) break;
  }
  struct stat st;
  if (!stat(path, &st) && S_ISDIR(st.st_mode)) return true;
  fprintf(stderr, "mascon: --sandbox: --out %s: cannot be made: %s\n", path, strerror(errno ? errno : ENOTDIR));
  return false;
}

/* The value of option NAME ("--data") at argv[*i], which is moved past it; NULL when something else stands there. */
static const char *value_of(const char *name, int argc, char **argv, int *i) {
  const size_t n = strlen(name);
  if (strncmp(argv[*i], name, n)) return NULL;
  if (argv[*i][n] == '=') return argv[*i] + n + 1;
  if (argv[*i][n] || *i + 1 >= argc) return NULL;
  return argv[++*i];
}

static bool wall_of_files(int argc, char **argv, int first) {
  const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) {
    fprintf(stderr, "mascon: --sandbox needs a Linux kernel with Landlock (5.13 or later, lsm=landlock): %s\n", strerror(errno));
    return false;
  }
  const __u64 known = known_rights(abi);
  struct landlock_ruleset_attr handled = {.handled_access_fs = known};
  /* Its first field is the only one that a kernel of any version knows. */
  int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0);
  bool good = rules >= 0 && allow(rules, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE, "file");
  for (int i = first; good && i < argc; i++) {
    const char *data = value_of("--data", argc, argv, &i), *out = data ? NULL : value_of("--out", argc, argv, &i);
    if (data) good = allow(rules, data, READING, "--data");
    if (out) good = make_folder(out) && allow(rules, out, (WRITING | REFER | TRUNCATE) & known, "--out");
  }
  if (good && syscall(SYS_landlock_restrict_self, rules, 0)) {
    fprintf(stderr, "mascon: --sandbox: %s\n", strerror(errno));
    good = false;
  }
  if (rules >= 0) close(rules);
  return good;
}

/* ---- processes, sockets, signals ----------------------------------------------------------------------------------- */

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "sandbox.c: add this processor's AUDIT_ARCH"
#endif

static const int refused[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
    SYS_mknodat,
    SYS_truncate,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_memfd_create,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_personality,
    SYS_symlinkat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_utimensat,
    SYS_shmget,
    SYS_msgget,
    SYS_semget,
#ifdef __x86_64__
    SYS_fork,
    SYS_vfork,
    SYS_mknod,
    SYS_symlink,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_uselib,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

#define LOAD(field)           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(code)          BPF_STMT(BPF_RET | BPF_K, code)
#define REFUSE                ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define IF(value, yes, no)    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)(value), yes, no)
#define IF_BIT(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (__u32)(bits), yes, no)

/* A short program of the kernel's: each call that enters it is answered by "go on", or by an error that the caller gets. */
static bool wall_of_calls(void) {
  const struct sock_filter head[] = {
      LOAD(arch),
      IF(ARCHITECTURE, 1, 0),
      ANSWER(SECCOMP_RET_KILL_PROCESS),
      LOAD(nr),
#ifdef __x86_64__
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
      REFUSE, /* the x32 ways to the same calls */
#endif
      IF(SYS_clone3, 0, 1),
      ANSWER(SECCOMP_RET_ERRNO | ENOSYS), /* its flags cannot be seen: the C library then uses clone */
      IF(SYS_clone, 0, 4),
      LOAD(args[0]),
      IF_BIT(CLONE_THREAD, 0, 1),
      ANSWER(SECCOMP_RET_ALLOW),
      REFUSE, /* threads are no processes */
      IF(SYS_kill, 1, 0),
      IF(SYS_tgkill, 0, 4),
      LOAD(args[0]),
      IF(getpid(), 0, 1),
      ANSWER(SECCOMP_RET_ALLOW),
      REFUSE,
      IF(SYS_mmap, 0, 6),
      LOAD(args[2]),
      IF_BIT(4 /* PROT_EXEC */, 0, 3),
      LOAD(args[3]),
      IF_BIT(0x20 /* MAP_ANONYMOUS */, 1, 0),
      REFUSE,
      ANSWER(SECCOMP_RET_ALLOW), /* no machine code from files; kernels that oneDNN writes into memory may run */
      IF(SYS_ioctl, 0, 4),
      LOAD(args[1]),
      IF(0x5412 /* TIOCSTI: keys into the terminal */, 0, 1),
      REFUSE,
      ANSWER(SECCOMP_RET_ALLOW),
  };
  struct sock_filter code[sizeof head / sizeof *head + 2 * (sizeof refused / sizeof *refused) + 1];
  size_t n = sizeof head / sizeof *head;
  memcpy(code, head, sizeof head);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    code[n++] = (struct sock_filter)IF(refused[i], 0, 1);
    code[n++] = (struct sock_filter)REFUSE;
  }
  code[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
  if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return true;
  fprintf(stderr, "mascon: --sandbox: seccomp: %s\n", strerror(errno));
  return false;
}

/* ---- inside Lua ---------------------------------------------------------------------------------------------------- */

static void remove_fields(lua_State *L, const char *library, const char *const *names) {
  if (lua_getglobal(L, library) == LUA_TTABLE)
    for (; *names; names++) {
      lua_pushnil(L);
      lua_setfield(L, -2, *names);
    }
  lua_pop(L, 1);
}

/* Machine code cannot be loaded, and what debug can break stays whole. Modules: the library's, and those that may be read. */
static void inside(lua_State *L) {
  static const char *const code[] = {"loadlib", "cpath", NULL};
  static const char *const setters[] = {"debug",        "sethook",     "setlocal",    "setmetatable",   "setupvalue",
                                        "setuservalue", "upvaluejoin", "getregistry", "setcstacklimit", NULL};
  lua_getglobal(L, "package");
  if (lua_getfield(L, -1, "searchers") == LUA_TTABLE) { /* those for C modules are the last two */
    const lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = n; i > n - 2; i--) {
      lua_pushnil(L);
      lua_rawseti(L, -2, i);
    }
  }
  lua_pop(L, 2);
  remove_fields(L, "package", code);
  remove_fields(L, "debug", setters);
}

/* Passwords and keys lie in the environment: only what says how to print and compute stays. */
static void clean_environment(void) {
  static const char *const kept[] = {
      "LANG",           "LC_ALL",     "TERM",       "COLORTERM",      "COLUMNS",        "NO_COLOR",         "TZ",
      "MASCON_THREADS", "MASCON_ISA", "MASCON_AMX", "MASCON_COMPILE", "MASCON_PROFILE", "MASCON_TRACEBACK", "OMP_NUM_THREADS"};
  enum { KEPT = sizeof kept / sizeof *kept };
  char *value[KEPT];
  for (int i = 0; i < KEPT; i++) {
    const char *v = getenv(kept[i]);
    value[i] = v ? strdup(v) : NULL;
  }
  clearenv();
  for (int i = 0; i < KEPT; i++)
    if (value[i]) {
      setenv(kept[i], value[i], 1);
      free(value[i]);
    }
}

bool ms_sandbox_enter(lua_State *L, const ms_sandbox *s, int argc, char **argv, int first) {
  static bool entered; /* by the first of several -e */
  if (entered) return true;
  entered = true;
  tzset(); /* reads its file now */
  ms_dnn_ready();
  clean_environment();
  inside(L);
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "mascon.sandbox");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
    fprintf(stderr, "mascon: --sandbox: %s\n", strerror(errno));
    return false;
  }
  return limits(s) && wall_of_files(argc, argv, first) && wall_of_calls();
}
