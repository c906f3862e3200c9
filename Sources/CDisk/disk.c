#define _GNU_SOURCE
#include "CDisk.h"

#include <fcntl.h>

int cdisk_write_back(int descriptor) {
#ifdef SYNC_FILE_RANGE_WRITE
  return sync_file_range(descriptor, 0, 0,
                         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                             SYNC_FILE_RANGE_WAIT_AFTER);
#else
  (void)descriptor;
  return 0;
#endif
}
