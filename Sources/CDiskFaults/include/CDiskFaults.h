#ifndef CDISKFAULTS_H
#define CDISKFAULTS_H

#include <stddef.h>
#include <stdint.h>

/// What a watched process asks of its disk.
enum disk_faults_kind { DISK_FAULTS_SYNC = 0, DISK_FAULTS_WRITE = 1, DISK_FAULTS_ALLOCATE = 2 };

struct disk_faults_call {
  uint64_t id;
  /// The thread that asks, and the file it means.
  int thread;
  int descriptor;
  enum disk_faults_kind kind;
};

/// Whether this system can have calls of other processes asked for.
int disk_faults_can_watch(void);

/// Has the calls of this thread that wait for a disk, and of all that becomes of it, asked of whoever holds what
/// is returned: a descriptor that closes with exec, or -1 with errno set. Cannot be taken back.
int disk_faults_watch_self(void);

/// Two ends of a socket, both closed with exec; 0, or -1 with errno set.
int disk_faults_socket_pair(int ends[2]);
/// Hands a descriptor to the other end, or, below 0, the reason why there is none; 0, or -1 with errno set.
int disk_faults_hand_over(int socket, int descriptor, int reason);
/// What the other end handed over; below 0 the negated reason.
int disk_faults_take_over(int socket);

/// Waits until one of `descriptors` has something, or nanoseconds have passed (for ever when negative). `ready`
/// gets 1 for those that have, 2 for those whose other end is gone. -1 with errno set when that failed.
int disk_faults_wait(const int *descriptors, unsigned char *ready, size_t count, int64_t nanoseconds);

/// The next call that waits for an answer; 0, or -1 with errno set.
int disk_faults_next(int listener, struct disk_faults_call *call);
/// Lets a call go on, or has it fail with an errno; 0, or -1 with errno set when nobody waits for it any more.
int disk_faults_answer(int listener, uint64_t id, int error);

/// Whether a file that a thread has open lies below a directory.
int disk_faults_is_below(int thread, int descriptor, const char *directory);

/// Has a living process fail to write files, or lets it again; 0, or -1 with errno set.
int disk_faults_limit_files(int process, int is_limited);
/// Has writes beyond such a limit fail instead of ending this process; survives exec.
void disk_faults_ignore_limit_signal(void);

#endif
