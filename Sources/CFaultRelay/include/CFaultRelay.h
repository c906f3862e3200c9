#ifndef CFAULTRELAY_H
#define CFAULTRELAY_H

/// Whether the owners of sockets can be asked here.
int fault_relay_knows_owners(void);

/// The inode of the TCP socket of 127.0.0.1 whose own port is `port` and whose other end is `remote_port`;
/// 0 when there is none, or nobody may know.
unsigned long fault_relay_inode(unsigned short port, unsigned short remote_port);

/// The inodes of the sockets that a process has open, at most `limit`, into `inodes`.
/// Returns how many; 0 when there is no such process, or nobody may know.
int fault_relay_sockets(int process, unsigned long *inodes, int limit);

#endif
