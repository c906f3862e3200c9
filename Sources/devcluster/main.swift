import DevClusterKit

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

exit(DevCluster.run(Array(CommandLine.arguments.dropFirst())))
