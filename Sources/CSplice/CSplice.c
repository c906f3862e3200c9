#ifdef __linux__
#define _GNU_SOURCE
#endif
#include "CSplice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <sys/event.h>
#include <sys/types.h>
#endif

// What a carrier takes at a time. A pipe has room for 16 pieces of the network's choice unless told otherwise.
enum { CARRIER_BYTES = 256 << 10 };

struct splice_carrier {
  int reading;
  int writing;
  // Without a pipe.
  size_t begin;
  char *buffer;
};

const int splice_blocked = EAGAIN;

static struct splice_carrier *new_carrier(void) {
  struct splice_carrier *carrier = malloc(sizeof *carrier);
  if (carrier == NULL) abort();
  carrier->reading = carrier->writing = -1;
  carrier->begin = 0;
  carrier->buffer = NULL;
  return carrier;
}

static long result_of(ssize_t count) { return count < 0 ? -errno : count; }

struct splice_carrier *splice_carrier_new(int uses_pipe) {
  struct splice_carrier *carrier = new_carrier();
#ifdef __linux__
  int ends[2];
  if (uses_pipe && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
    carrier->reading = ends[0];
    carrier->writing = ends[1];
    // Where the user has too many pages in pipes already, it stays as it is.
    (void)fcntl(ends[1], F_SETPIPE_SZ, CARRIER_BYTES);
    return carrier;
  }
#else
  (void)uses_pipe;
#endif
  carrier->buffer = malloc(CARRIER_BYTES);
  if (carrier->buffer == NULL) abort();
  return carrier;
}

int splice_carrier_is_pipe(const struct splice_carrier *carrier) { return carrier->buffer == NULL; }

long splice_carrier_fill(struct splice_carrier *carrier, int socket, size_t limit) {
  if (limit > CARRIER_BYTES) limit = CARRIER_BYTES;
  ssize_t count;
  do {
#ifdef __linux__
    if (carrier->buffer == NULL)
      count = splice(
        socket, NULL, carrier->writing, NULL, limit, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    else
#endif
      count = read(socket, carrier->buffer, limit);
  } while (count < 0 && errno == EINTR);
  carrier->begin = 0;
  return result_of(count);
}

long splice_carrier_drain(struct splice_carrier *carrier, int socket, size_t held) {
  ssize_t count;
  do {
#ifdef __linux__
    if (carrier->buffer == NULL)
      count = splice(
        carrier->reading, NULL, socket, NULL, held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    else
#endif
      count = write(socket, carrier->buffer + carrier->begin, held);
  } while (count < 0 && errno == EINTR);
  if (count > 0 && carrier->buffer != NULL) carrier->begin += (size_t)count;
  return result_of(count);
}

void splice_carrier_free(struct splice_carrier *carrier) {
  if (carrier->reading >= 0) close(carrier->reading);
  if (carrier->writing >= 0) close(carrier->writing);
  free(carrier->buffer);
  free(carrier);
}

void splice_end_output(int socket) { (void)shutdown(socket, SHUT_WR); }

void splice_break_at_close(int socket) {
  struct linger now = {1, 0};
  (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

#ifdef __linux__
int splice_poller(void) { return epoll_create1(EPOLL_CLOEXEC); }

int splice_watch(int poller, int socket, uint64_t token) {
  struct epoll_event event = {0};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = token;
  return epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event);
}

int splice_wait(int poller, struct splice_event *events, int count) {
  struct epoll_event found[64];
  if (count > 64) count = 64;
  int filled = epoll_wait(poller, found, count, 0);
  for (int i = 0; i < filled; i++) {
    events[i].token = found[i].data.u64;
    events[i].readable = (found[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    events[i].writable = (found[i].events & EPOLLOUT) != 0;
    events[i].failed = (found[i].events & EPOLLERR) != 0;
  }
  return filled < 0 ? 0 : filled;
}
#else
int splice_poller(void) {
  int poller = kqueue();
  if (poller >= 0) (void)fcntl(poller, F_SETFD, FD_CLOEXEC);
  return poller;
}

int splice_watch(int poller, int socket, uint64_t token) {
  struct kevent changes[2];
  void *data = (void *)(uintptr_t)token;
  EV_SET(&changes[0], socket, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, data);
  EV_SET(&changes[1], socket, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, data);
  return kevent(poller, changes, 2, NULL, 0, NULL);
}

int splice_wait(int poller, struct splice_event *events, int count) {
  struct kevent found[64];
  struct timespec now = {0, 0};
  if (count > 64) count = 64;
  int filled = kevent(poller, NULL, 0, found, count, &now);
  for (int i = 0; i < filled; i++) {
    events[i].token = (uint64_t)(uintptr_t)found[i].udata;
    events[i].readable = found[i].filter == EVFILT_READ;
    events[i].writable = found[i].filter == EVFILT_WRITE;
    // With an end of file, the flags hold the socket's error.
    events[i].failed = (found[i].flags & EV_EOF) != 0 && found[i].fflags != 0;
  }
  return filled < 0 ? 0 : filled;
}
#endif
