// Byte primitives that Swift has no portable, fast spelling for.
#ifndef CBYTES_H
#define CBYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// memcmp over the common prefix, then by length: the order of keys in etcd.
static inline int cbytes_compare(const void *a, size_t an, const void *b, size_t bn) {
  size_t n = an < bn ? an : bn;
  int c = n == 0 ? 0 : memcmp(a, b, n);
  if (c != 0) return c;
  return an < bn ? -1 : (an > bn ? 1 : 0);
}

static inline int cbytes_equal(const void *a, const void *b, size_t n) {
  return n == 0 || memcmp(a, b, n) == 0;
}

/// Asks for the cache line at an address that is read soon; any address is allowed.
static inline void cbytes_prefetch(const void *address) { __builtin_prefetch(address); }

/// Extends a CRC-32C (Castagnoli, reflected, as Go's crc32.Update) by n bytes.
uint32_t cbytes_crc32c(uint32_t crc, const void *data, size_t n);

#endif
