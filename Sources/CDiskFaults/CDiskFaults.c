#define _GNU_SOURCE
#include "CDiskFaults.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#ifdef __x86_64__
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif
// Of newer headers than Debian 12's.
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

int disk_faults_can_watch(void) { return 1; }

// write(2) is left alone: sockets are written with it, and a filter sees no difference.
static const struct {
  int number;
  enum disk_faults_kind kind;
} watched[] = {
    {SYS_fsync, DISK_FAULTS_SYNC},      {SYS_fdatasync, DISK_FAULTS_SYNC},
    {SYS_pwrite64, DISK_FAULTS_WRITE},  {SYS_pwritev, DISK_FAULTS_WRITE},
    {SYS_pwritev2, DISK_FAULTS_WRITE},  {SYS_fallocate, DISK_FAULTS_ALLOCATE},
};
#define WATCHED (sizeof watched / sizeof *watched)

int disk_faults_watch_self(void) {
  struct sock_filter program[WATCHED + 5];
  size_t length = 0;
  program[length++] = (struct sock_filter)BPF_STMT(
      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  program[length++] =
      (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 0, WATCHED + 1);
  program[length++] = (struct sock_filter)BPF_STMT(
      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t at = 0; at < WATCHED; at++)
    program[length++] = (struct sock_filter)BPF_JUMP(
        BPF_JMP | BPF_JEQ | BPF_K, (unsigned)watched[at].number,
        (unsigned char)(WATCHED - at), 0);
  program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  struct sock_fprog filter = {.len = (unsigned short)length, .filter = program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0) return -1;
  unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // A signal such as Go's for preemption would have the call begin anew, and its delay with it (Linux 5.19).
  long made = syscall(
      SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
  if (made < 0 && errno == EINVAL)
    made = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
  return (int)made;
}

int disk_faults_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

union control {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr aligned;
};

int disk_faults_hand_over(int socket, int descriptor, int reason) {
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec part = {.iov_base = &reason, .iov_len = sizeof reason};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof reason ? 0 : -1;
}

int disk_faults_take_over(int socket) {
  union control control;
  int reason = 0;
  struct iovec part = {.iov_base = &reason, .iov_len = sizeof reason};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof reason) return -EPIPE;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS) return reason > 0 ? -reason : -EPIPE;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  // Who asks and who answers take turns: one processor is enough for both (Linux 6.6).
  ioctl(descriptor, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  return descriptor;
}

int disk_faults_wait(
    const int *descriptors, unsigned char *ready, size_t count, int64_t nanoseconds) {
  struct pollfd polled[64];
  if (count > sizeof polled / sizeof *polled) return -1;
  for (size_t at = 0; at < count; at++)
    polled[at] = (struct pollfd){.fd = descriptors[at], .events = POLLIN};
  struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  if (ppoll(polled, count, nanoseconds < 0 ? NULL : &time, NULL) < 0 && errno != EINTR) return -1;
  for (size_t at = 0; at < count; at++) {
    short found = polled[at].revents;
    ready[at] = found & POLLIN ? 1 : found ? 2 : 0;
  }
  return 0;
}

// Kernels may know longer structures than these headers, and say so by refusing shorter ones.
union notification {
  struct seccomp_notif request;
  struct seccomp_notif_resp answer;
  char room[512];
};

int disk_faults_next(int listener, struct disk_faults_call *call) {
  union notification next;
  memset(&next, 0, sizeof next);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &next.request) != 0) return -1;
  call->id = next.request.id;
  call->thread = (int)next.request.pid;
  call->descriptor = (int)next.request.data.args[0];
  call->kind = DISK_FAULTS_SYNC;
  for (size_t at = 0; at < WATCHED; at++)
    if (watched[at].number == next.request.data.nr) call->kind = watched[at].kind;
  return 0;
}

int disk_faults_answer(int listener, uint64_t id, int error) {
  union notification answer;
  memset(&answer, 0, sizeof answer);
  answer.answer.id = id;
  answer.answer.error = -error;
  answer.answer.flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer.answer);
}

int disk_faults_is_below(int thread, int descriptor, const char *directory) {
  char link[64];
  char file[PATH_MAX];
  char whole[PATH_MAX];
  snprintf(link, sizeof link, "/proc/%d/fd/%d", thread, descriptor);
  ssize_t length = readlink(link, file, sizeof file - 1);
  if (length <= 0) return 0;
  file[length] = 0;
  // As the kernel names it: without links.
  const char *place = realpath(directory, whole) == NULL ? directory : whole;
  size_t prefix = strlen(place);
  return strncmp(file, place, prefix) == 0 && (file[prefix] == '/' || file[prefix] == 0);
}

int disk_faults_limit_files(int process, int is_limited) {
  struct rlimit own;
  struct rlimit now;
  if (getrlimit(RLIMIT_FSIZE, &own) != 0) return -1;
  if (prlimit(process, RLIMIT_FSIZE, NULL, &now) != 0) return -1;
  now.rlim_cur = is_limited ? 0 : own.rlim_cur;
  return prlimit(process, RLIMIT_FSIZE, &now, NULL);
}
#else
int disk_faults_can_watch(void) { return 0; }
int disk_faults_watch_self(void) {
  errno = ENOSYS;
  return -1;
}
int disk_faults_socket_pair(int ends[2]) {
  (void)ends;
  errno = ENOSYS;
  return -1;
}
int disk_faults_hand_over(int socket, int descriptor, int reason) {
  (void)socket, (void)descriptor, (void)reason;
  errno = ENOSYS;
  return -1;
}
int disk_faults_take_over(int socket) {
  (void)socket;
  return -ENOSYS;
}
int disk_faults_wait(
    const int *descriptors, unsigned char *ready, size_t count, int64_t nanoseconds) {
  (void)descriptors, (void)ready, (void)count, (void)nanoseconds;
  errno = ENOSYS;
  return -1;
}
int disk_faults_next(int listener, struct disk_faults_call *call) {
  (void)listener, (void)call;
  errno = ENOSYS;
  return -1;
}
int disk_faults_answer(int listener, uint64_t id, int error) {
  (void)listener, (void)id, (void)error;
  errno = ENOSYS;
  return -1;
}
int disk_faults_is_below(int thread, int descriptor, const char *directory) {
  (void)thread, (void)descriptor, (void)directory;
  return 0;
}
int disk_faults_limit_files(int process, int is_limited) {
  (void)process, (void)is_limited;
  errno = ENOSYS;
  return -1;
}
#endif

void disk_faults_ignore_limit_signal(void) { signal(SIGXFSZ, SIG_IGN); }
