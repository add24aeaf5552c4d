/* Loaded before libc (LD_PRELOAD): a full disk, a clock that jumps, and a record of who writes
   what, each only where its environment variable says so.

   LUMA_TEST_FULL   folders, separated by ":"; while the file LUMA_TEST_SWITCH exists, every write
                    below them fails with ENOSPC
   LUMA_TEST_CLOCK  a file with a number: seconds that the wall clock is wrong by
   LUMA_TEST_TRACE  a file that gets a line for each write, sync and send
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...)                          \
  static type (*real)(__VA_ARGS__);                    \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void name_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
}

static void trace(const char *what, int fd) {
  const char *file = getenv("LUMA_TEST_TRACE");
  if (!file) return;
  int saved = errno;
  char path[4096], line[4200];
  name_of(fd, path, sizeof path);
  int length = snprintf(line, sizeof line, "%s %s\n", what, path);
  int out = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (out >= 0) {
    syscall(SYS_write, out, line, length);
    syscall(SYS_close, out);
  }
  errno = saved;
}

static int full(int fd) {
  const char *folders = getenv("LUMA_TEST_FULL"), *flag = getenv("LUMA_TEST_SWITCH");
  int saved = errno, found = 0;
  if (folders && flag && access(flag, F_OK) == 0) {
    char path[4096];
    name_of(fd, path, sizeof path);
    while (*folders && !found) {
      size_t length = strcspn(folders, ":");
      found = length && strncmp(path, folders, length) == 0;
      folders += length + (folders[length] == ':');
    }
  }
  errno = found ? ENOSPC : saved;
  return found;
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (full(fd)) return -1;
  trace("write", fd);
  return real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *data, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (full(fd)) return -1;
  trace("write", fd);
  return real(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t where) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  if (full(fd)) return -1;
  trace("write", fd);
  return real(fd, data, size, where);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  if (full(fd)) return -1;
  trace("write", fd);
  return real(fd, data, size, where);
}

int posix_fallocate(int fd, off_t from, off_t size) {
  REAL(int, "posix_fallocate", int, off_t, off_t);
  if (full(fd)) return ENOSPC;
  return real(fd, from, size);
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  trace("sync", fd);
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  trace("sync", fd);
  return real(fd);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  REAL(ssize_t, "send", int, const void *, size_t, int);
  trace("send", fd);
  return real(fd, data, size, flags);
}

static double error_of_clock(void) {
  const char *file = getenv("LUMA_TEST_CLOCK");
  if (!file) return 0;
  int saved = errno;
  char text[64] = {0};
  int in = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY);
  if (in >= 0) {
    syscall(SYS_read, in, text, sizeof text - 1);
    syscall(SYS_close, in);
  }
  errno = saved;
  return atof(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int answer = real(clock, now);
  if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += (time_t)error_of_clock();
  return answer;
}

int gettimeofday(struct timeval *now, void *zone) {
  REAL(int, "gettimeofday", struct timeval *, void *);
  int answer = real(now, zone);
  if (answer == 0) now->tv_sec += (time_t)error_of_clock();
  return answer;
}

time_t time(time_t *where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where) *where = now.tv_sec;
  return now.tv_sec;
}
