#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Ends the process with a status.
func exitProcess(_ status: Int32) -> Never { exit(status) }
