#ifndef CSPLICE_H
#define CSPLICE_H

#include <stddef.h>
#include <stdint.h>

/// What happened to a socket since it was told last.
struct splice_event {
  uint64_t token;  ///< As given to `splice_watch`.
  int readable;    ///< There is input, or its end.
  int writable;    ///< Output is taken again.
  int failed;      ///< The connection is broken.
};

/// A set of sockets whose changes are told once each, itself readable when there are some.
/// Negative when the system has none left.
int splice_poller(void);

/// Adds a socket that does not block; it leaves the set when it is closed. Negative when that fails.
int splice_watch(int poller, int socket, uint64_t token);

/// Takes changes without waiting; the number of events that were filled in.
int splice_wait(int poller, struct splice_event *events, int count);

/// Bytes on their way from one socket to another: in the kernel, where the system can move them without a copy
/// and has a pipe left, else in a buffer.
struct splice_carrier;

/// - Parameter uses_pipe: whether to try for a pipe.
struct splice_carrier *splice_carrier_new(int uses_pipe);
/// Whether it has a pipe, so that nothing is copied.
int splice_carrier_is_pipe(const struct splice_carrier *carrier);
/// Takes what a socket has, at most `limit` bytes, into an empty carrier.
/// The count, 0 at the end of the input, or a negated errno.
long splice_carrier_fill(struct splice_carrier *carrier, int socket, size_t limit);
/// Gives a socket what it takes of `held` bytes. The count or a negated errno.
long splice_carrier_drain(struct splice_carrier *carrier, int socket, size_t held);
void splice_carrier_free(struct splice_carrier *carrier);

/// The errno of a socket that has, or takes, nothing at the moment.
extern const int splice_blocked;

/// Says that nothing more comes; what was sent before arrives.
void splice_end_output(int socket);
/// Has the end of a socket be a broken connection for the other side, when it is closed.
void splice_break_at_close(int socket);

#endif
