// What a Mac's header of this name declares of that which Sources/CSplice uses, for scripts/check-darwin.sh.
#pragma once
#include <stdint.h>
#include <time.h>

struct kevent {
  uintptr_t ident;
  int16_t filter;
  uint16_t flags;
  uint32_t fflags;
  intptr_t data;
  void *udata;
};

enum { EVFILT_READ = -1, EVFILT_WRITE = -2 };
enum { EV_ADD = 0x1, EV_DELETE = 0x2, EV_ENABLE = 0x4, EV_DISABLE = 0x8, EV_ONESHOT = 0x10, EV_CLEAR = 0x20, EV_EOF = 0x8000 };

#define EV_SET(event, id, kind, how, more, number, owner) \
  (*(event) = (struct kevent){(id), (kind), (how), (more), (number), (owner)})

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int count, struct kevent *events, int limit, const struct timespec *timeout);
