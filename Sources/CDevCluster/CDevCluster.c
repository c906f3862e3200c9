#define _GNU_SOURCE
#include "CDevCluster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static int give_back_segments(struct dl_phdr_info *object, size_t size, void *context) {
  (void)size;
  (void)context;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int at = 0; at < object->dlpi_phnum; at++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[at];
    // Whatever may be written, or was when it was linked, is not in the file as it stands here.
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
    uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
    uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_filesz;
    madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void devcluster_give_back_code(void) { dl_iterate_phdr(give_back_segments, NULL); }

int devcluster_die_with_parent(int signal) {
  return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0UL, 0UL, 0UL);
}
#endif

/// Kills the groups that a line of numbers names. 0 and 1 would mean others.
static void kill_groups(const char *line) {
  while (*line != 0) {
    char *end = NULL;
    long pid = strtol(line, &end, 10);
    if (end == line) return;
    if (pid > 1) kill((pid_t)-pid, SIGKILL);
    line = end;
  }
}

void devcluster_close_from(int first) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  if (close_range((unsigned)first, ~0U, 0) == 0) return;
#endif
  long limit = sysconf(_SC_OPEN_MAX);
  for (int descriptor = first; descriptor < (limit < 65536 ? limit : 65536); descriptor++)
    close(descriptor);
}

static void guard(int input) {
  char last[512] = "";
  char next[512];
  size_t length = 0;
  for (;;) {
    char byte;
    ssize_t count = read(input, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (byte == '\n') {
      next[length] = 0;
      memcpy(last, next, length + 1);
      length = 0;
    } else if (length + 1 < sizeof next) {
      next[length++] = byte;
    }
  }
  kill_groups(last);
  _exit(0);
}

int devcluster_start_guardian(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  pid_t pid = fork();
  if (pid < 0) {
    int reason = errno;
    close(ends[0]);
    close(ends[1]);
    errno = reason;
    return -1;
  }
  if (pid > 0) {
    close(ends[1]);
    return ends[0];
  }
  // Whatever ends the supervisor must not end its guardian first; nothing of whoever called us is held.
  setsid();
  int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
  for (size_t at = 0; at < sizeof ignored / sizeof *ignored; at++) signal(ignored[at], SIG_IGN);
  dup2(ends[1], 3);
  devcluster_close_from(4);
  int nothing = open("/dev/null", O_RDWR);
  for (int descriptor = 0; descriptor < 3; descriptor++)
    if (nothing >= 0 && nothing != descriptor) dup2(nothing, descriptor);
  if (nothing > 3) close(nothing);
#ifdef __linux__
  prctl(PR_SET_NAME, (unsigned long)"devcluster-guard", 0UL, 0UL, 0UL);
  devcluster_give_back_code();
#endif
  guard(3);
  return -1;
}

int devcluster_terminal_columns(int descriptor) {
  struct winsize size;
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int devcluster_terminal_rows(int descriptor) {
  struct winsize size;
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}
