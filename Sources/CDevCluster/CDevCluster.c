#include "CDevCluster.h"

#ifdef __linux__
#include <sys/prctl.h>

int devcluster_die_with_parent(int signal) {
  return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0UL, 0UL, 0UL);
}
#endif
