#ifndef CDISK_H
#define CDISK_H

/// Writes a file's dirty pages to the disk and waits for that, without making anything durable. Does
/// nothing where the system has no such call.
/// - Returns: 0, or -1 with errno.
int cdisk_write_back(int descriptor);

#endif
