import Foundation
import TestSupport
import Testing

/// A disk whose fsync does not come back while a file exists: a library that is loaded before the C library,
/// made by the compiler of the toolchain.
struct HungDisk {
  let library: String
  private let marker: String

  /// For the environment of a process.
  var variables: [String: String] { ["LD_PRELOAD": library, "HUNG_WHILE": marker] }

  private static let source = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void wait_for_disk(void) {
      const char *marker = getenv("HUNG_WHILE");
      while (marker && access(marker, F_OK) == 0) usleep(5000);
    }
    int fdatasync(int fd) {
      static int (*real)(int);
      if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
      wait_for_disk();
      return real(fd);
    }
    int fsync(int fd) {
      static int (*real)(int);
      if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
      wait_for_disk();
      return real(fd);
    }
    """

  /// The C compiler beside Swift's, or the system's; `nil` when there is none.
  static let compiler: String? = {
    let swift = run("\(Binaries.packageRoot)/scripts/find-swift.sh", []).output
    let folder = URL(fileURLWithPath: swift.trimmingCharacters(in: .whitespacesAndNewlines))
      .resolvingSymlinksInPath().deletingLastPathComponent().path
    return ["\(folder)/clang", "/usr/bin/clang", "/usr/bin/cc"].first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }()

  init(_ scratch: Scratch) throws { try self.init(scratch.path) }

  /// - Parameter folder: for the library and the file.
  init(_ folder: String) throws {
    library = folder + "/hung.so"
    marker = folder + "/hung"
    let source = folder + "/hung.c"
    try Self.source.write(toFile: source, atomically: true, encoding: .utf8)
    let made = run(
      try #require(Self.compiler), ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"])
    try #require(made.status == 0, "\(made.error)")
  }

  func hang() { _ = FileManager.default.createFile(atPath: marker, contents: nil) }
  func goOn() { try? FileManager.default.removeItem(atPath: marker) }
}
