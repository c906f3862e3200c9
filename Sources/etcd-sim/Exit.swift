#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Ends the process with a status.
func exitProcess(_ status: Int32) -> Never { exit(status) }

/// Hands what was printed on at once, so that a run that is stopped has said what it found.
func flushOutput() { fflush(nil) }
