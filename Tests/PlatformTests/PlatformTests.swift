import Bytes
import Platform
import TestSupport
import Testing

/// System calls as the rest of the package sees them.
@Suite struct PlatformTests {
  @Test func pipesCarryWhatIsWritten() throws {
    let ends = try #require(Descriptor.pipe())
    #expect(Descriptor.write("hello", to: ends.writing))
    Descriptor.close(ends.writing)
    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(Descriptor.read(ends.reading, into: &buffer) == 5)
    #expect(Bytes(buffer[..<5]) == "hello")
    #expect(Descriptor.read(ends.reading, into: &buffer) == 0)
    Descriptor.close(ends.reading)
    #expect(!Descriptor.isTerminal(ends.reading))
  }

  @Test func filesAreAppendedTo() throws {
    let scratch = Scratch()
    let path = scratch.path + "/log"
    for text in ["one\n", "two\n"] as [Bytes] {
      let file = Descriptor.openToAppend(path, permissions: 0o600)
      #expect(Descriptor.write(text, to: file))
      Descriptor.close(file)
    }
    #expect(SystemFiles.text(of: path) == "one\ntwo\n")
    let file = Descriptor.openToRead(path)
    #expect(Descriptor.size(of: file) == 8)
    Descriptor.close(file)
    let inode = Paths.inode(path)
    try Paths.rename(path, to: path + ".1")
    #expect(Paths.inode(path + ".1") == inode && !Paths.exists(path))
    #expect(throws: SystemError.notFound) { try Paths.rename(path, to: path + ".1") }
    Paths.makeDirectory(scratch.path + "/folder", permissions: 0o700)
    #expect(Paths.isDirectory(scratch.path + "/folder") && !Paths.isProgram(path + ".1"))
    #expect(
      SystemFiles.names(in: scratch.path).map(Set.init) == [".", "..", "log.1", "folder"])
    #expect(Descriptor.openToRead(scratch.path + "/none") < 0)
  }

  @Test func socketsTellWhoListens() throws {
    let scratch = Scratch()
    #expect(LocalSocket.connect(to: scratch.path + "/none") == .failed)
    #expect(
      LocalSocket.connect(to: String(repeating: "x", count: 200)) == .failed, "too long a path")
    #expect(LocalSocket.isPortTaken(-1) && LocalSocket.isPortTaken(1 << 16))
  }

  @Test func addressesAreNumeric() {
    #expect(HostLookup.numeric("127.0.0.1:2379") == "127.0.0.1:2379")
    #expect(HostLookup.numeric("[::1]:2379") == "[::1]:2379")
    #expect(HostLookup.numeric("nobody.invalid:2379") == nil)
    #expect(HostLookup.numeric("no-port") == nil)
  }

  @Test func theProcessIsThere() {
    #expect(Signals.reaches(Program.id) && Program.parent > 0)
    #expect(Machine.processors > 0 && Machine.pageBytes >= 4096 && Machine.clockTicks > 0)
    #expect(WallClock.seconds > 1_700_000_000)
    #expect(abs(WallClock.zoneOffset(at: 1_700_000_000)) <= 14 * 3600)
    #expect(!ProcessEnvironment.words.isEmpty)
    #expect(SystemError.notFound.description == "No such file or directory")
  }
}
