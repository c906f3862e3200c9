#ifndef CDEVCLUSTER_H
#define CDEVCLUSTER_H

#ifdef __linux__
/// Has this process get `signal` when the thread that started it ends; 0, or -1 with errno set.
/// prctl(2) is variadic, which Swift cannot call.
int devcluster_die_with_parent(int signal);
#endif

#endif
