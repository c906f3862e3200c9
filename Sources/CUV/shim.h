#ifndef CUV_SHIM_H
#define CUV_SHIM_H

#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <uv.h>

#ifdef __APPLE__
#include <malloc/malloc.h>
#elif defined(__GLIBC__)
#include <malloc.h>
#endif

#ifndef __APPLE__
// glibc declares it only for _GNU_SOURCE, which a module map cannot set.
extern int pthread_setname_np(pthread_t thread, const char *name);
#endif

/// Names the calling thread; at most 15 bytes count.
static inline void cuv_name_thread(const char *name) {
#ifdef __APPLE__
  pthread_setname_np(name);
#else
  pthread_setname_np(pthread_self(), name);
#endif
}

/// Gives the calling thread a third of the processor time that others get where it is short. Does nothing
/// where the system has such weights only for whole processes.
static inline void cuv_lower_thread_priority(void) {
#ifdef __linux__
  (void)setpriority(PRIO_PROCESS, 0, 5);
#endif
}

/// Descriptors the process may have open; UINT64_MAX for any number.
static inline uint64_t cuv_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return (uint64_t)limit.rlim_cur;
}

/// Gives pages that hold no allocation back to the system.
static inline void cuv_release_free_memory(void) {
#ifdef __APPLE__
  malloc_zone_pressure_relief(NULL, 0);
#elif defined(__GLIBC__)
  malloc_trim(0);
#endif
}

/// Bytes of the allocator, by who has them.
struct cuv_heap {
  size_t allocated;    ///< Handed out.
  size_t from_system;  ///< Taken from the system.
  size_t idle;         ///< Taken and not handed out.
};

/// The heap now; zeros where the system does not tell.
static inline struct cuv_heap cuv_heap_now(void) {
  struct cuv_heap found = {0, 0, 0};
#if defined(__GLIBC__)
  struct mallinfo2 heap = mallinfo2();
  found.allocated = heap.uordblks + heap.hblkhd;
  found.from_system = heap.arena + heap.hblkhd;
  found.idle = heap.fordblks;
#endif
  return found;
}

#endif
