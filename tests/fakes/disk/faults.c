/* A disk that fails: preloaded into a process, it lets the n-th write below a folder fail, and those after it.

   Counted: opening to write, write, fsync, rename (not for ENOSPC), mkdir, truncate, and copying inside of the kernel. Reading and removing
   always work. fault_arm() is called from the process itself; what is written elsewhere is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static int after, error_number, only_once;
static volatile int counted;

void fault_arm(const char *folder, int n, int number, int once) {
  snprintf(below, sizeof below, "%s", folder);
  after = n; error_number = number; only_once = once; counted = 0;
}

int fault_count(void) { return counted; }

/* Whether this one fails. */
static int fails(const char *path) {
  if (!below[0] || strncmp(path, below, strlen(below))) return 0;
  int now = __sync_add_and_fetch(&counted, 1);
  if (!error_number || (only_once ? now != after : now < after)) return 0;
  errno = error_number;
  return 1;
}

static int fails_of(int fd) {
  if (!below[0]) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return fails(path);
}

static int fails_at(int folder, const char *path) {
  if (!below[0]) return 0;
  if (path[0] == '/') return fails(path);
  char link[64], whole[PATH_MAX * 2];
  ssize_t size;
  if (folder == AT_FDCWD) {
    if (!getcwd(whole, PATH_MAX)) return 0;
    size = strlen(whole);
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    if ((size = readlink(link, whole, PATH_MAX - 1)) < 0) return 0;
  }
  snprintf(whole + size, sizeof whole - size, "/%s", path);
  return fails(whole);
}

#define REAL(result, name, ...) \
  static result (*real)(__VA_ARGS__); \
  if (!real) real = dlsym(RTLD_NEXT, #name)

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if (WRITES(flags) && fails_at(AT_FDCWD, path)) return -1; \
    return real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if (WRITES(flags) && fails_at(folder, path)) return -1; \
    return real(folder, path, flags, mode); \
  }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  return fails_of(fd) ? -1 : real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  return fails_of(fd) ? -1 : real(fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  return fails_of(fd) ? -1 : real(fd, data, size, place);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  return fails_of(fd) ? -1 : real(fd, data, size, place);
}
ssize_t sendfile(int out, int in, off_t *place, size_t size) {
  REAL(ssize_t, sendfile, int, int, off_t *, size_t);
  return fails_of(out) ? -1 : real(out, in, place, size);
}
ssize_t sendfile64(int out, int in, off64_t *place, size_t size) {
  REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
  return fails_of(out) ? -1 : real(out, in, place, size);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
  return fails_of(out) ? -1 : real(in, from, out, to, size, flags);
}
int fsync(int fd) {
  REAL(int, fsync, int);
  return fails_of(fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  return fails_of(fd) ? -1 : real(fd);
}
int ftruncate(int fd, off_t size) {
  REAL(int, ftruncate, int, off_t);
  return fails_of(fd) ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
  REAL(int, ftruncate64, int, off64_t);
  return fails_of(fd) ? -1 : real(fd, size);
}
/* On a full disk there is room for a name in the place of another. */
int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  return error_number != ENOSPC && fails_at(AT_FDCWD, to) ? -1 : real(from, to);
}
int renameat(int of, const char *from, int at, const char *to) {
  REAL(int, renameat, int, const char *, int, const char *);
  return error_number != ENOSPC && fails_at(at, to) ? -1 : real(of, from, at, to);
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t);
  return fails_at(AT_FDCWD, path) ? -1 : real(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
  REAL(int, mkdirat, int, const char *, mode_t);
  return fails_at(folder, path) ? -1 : real(folder, path, mode);
}
