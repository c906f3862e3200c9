import Bytes
import CommandLineTool
import DNS
import EtcdUtlKit
import EventLoops
import FileSystem
import GRPC
import HTTP
import Synchronization

@testable import EtcdCtlKit

/// What a command writes and is told, kept.
final class Desk: Sendable {
  private let written = Mutex<(output: String, error: String)>(("", ""))
  private let input: Mutex<[UInt8]>

  init(_ input: String = "") { self.input = Mutex(Array(input.utf8)) }

  var output: String { written.withLock { $0.output } }
  var error: String { written.withLock { $0.error } }
  var unread: String { Bytes(input.withLock { $0 }).string }

  var console: Console {
    Console(
      print: { text in self.written.withLock { $0.output += text } },
      printError: { text in self.written.withLock { $0.error += text } })
  }

  func world(_ environment: [String: String] = [:]) -> EtcdCtl.World {
    var world = EtcdCtl.World(
      files: EtcdUtl.World(
        fileSystem: RealFileSystem(), now: { 0 }, pause: {}, random: { 0 }, resolve: { _ in nil }),
      environment: environment,
      write: { bytes in self.written.withLock { $0.output += bytes.string } },
      read: { count in
        self.input.withLock { input in
          defer { input.removeFirst(Swift.min(count, input.count)) }
          return Bytes(input.prefix(count))
        }
      }, askPassword: { _ in "" }, preciseNow: { 1_795_679_290.364662 }, showsProgress: false,
      exit: { _ in })
    world.services = { name throws(DNSFailure) in
      throw DNSFailure(name: name, reason: .notFound)
    }
    return world
  }

  func settings(
    _ words: [String], _ environment: [String: String] = [:]
  ) throws(CommandFailure) -> ClientSettings {
    var command = Command("test", short: "")
    command.flags = Globals.flags
    return try ClientSettings(
      Invocation(of: command, words: words, console: console), world(environment))
  }

  func session(_ words: [String], _ loop: EventLoop) throws -> Session {
    let world = world()
    return Session(
      try settings(words), loop: loop,
      log: ClientLog(now: world.preciseNow, write: console.printError))
  }
}
