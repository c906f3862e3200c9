#ifndef CFAULTRELAY_H
#define CFAULTRELAY_H

/// Whether the owners of sockets can be asked here.
int fault_relay_knows_owners(void);

/// The inode of the TCP socket of 127.0.0.1 whose own port is `port` and whose other end is `remote_port`;
/// 0 when there is none, or nobody may know.
unsigned long fault_relay_inode(unsigned short port, unsigned short remote_port);

/// Whether a process has a socket with this inode open.
int fault_relay_has_socket(int process, unsigned long inode);

#endif
