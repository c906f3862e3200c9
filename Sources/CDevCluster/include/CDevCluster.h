#ifndef CDEVCLUSTER_H
#define CDEVCLUSTER_H

#ifdef __linux__
/// Has this process get `signal` when the thread that started it ends; 0, or -1 with errno set.
/// prctl(2) is variadic, which Swift cannot call.
int devcluster_die_with_parent(int signal);

/// Gives back the memory of programs and libraries that nobody writes to: what is used comes again from the files, what
/// ran once stays out. Half of what a process holds after its start is code of the start.
void devcluster_give_back_code(void);
#endif

/// Closes all descriptors from a number on, in one call where there is one: there may be a million of them.
void devcluster_close_from(int first);

/// Starts a process that kills process groups when this one is gone: it reads lines of process ids, each
/// replacing the one before, and at the end of its input kills the groups of the last. It is a fork that runs
/// nothing of Swift, so that it costs next to no memory, and has to be made before there are threads.
/// Returns our end of a socket to it, or -1 with errno set.
int devcluster_start_guardian(void);

/// Columns of a terminal, or 0. ioctl(2) is variadic, which Swift cannot call.
int devcluster_terminal_columns(int descriptor);

/// Rows of the terminal behind a descriptor; 0 for none, or for one that does not say.
int devcluster_terminal_rows(int descriptor);

#endif
