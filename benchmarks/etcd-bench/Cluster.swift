import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import Protobuf

/// A server program under measurement.
struct Server: Hashable {
  let path: String
  /// As the tables call it.
  let name: String
  /// Without the compiler, for the plot.
  let shortName: String
  let isOurs: Bool

  /// - Throws: `BenchError` when the program does not tell its version.
  init(path: String, isOurs: Bool) throws(BenchError) {
    self.path = path
    self.isOurs = isOurs
    let lines = try runProgram(path, ["--version"]).split(separator: "\n")
    let fields = lines.compactMap { line -> (Substring, Substring)? in
      let parts = line.split(separator: ":", maxSplits: 1)
      return parts.count == 2 ? (parts[0], parts[1].drop { $0 == " " }) : nil
    }
    let version = fields.first { $0.0 == "etcd Version" }?.1 ?? "unknown"
    let go = fields.first { $0.0 == "Go Version" }?.1
    name = isOurs ? "ours" : "Go \(version)" + (go.map { " (\($0))" } ?? "")
    shortName = isOurs ? "ours" : "Go \(version)"
  }
}

/// One running member; ended by its process id.
final class RunningServer {
  let process = Process()
  let port: Int
  /// Where clients speak TLS, if they do.
  let securePort: Int?
  private let log: String
  var pid: Int32 { process.processIdentifier }

  /// - Throws: `BenchError` when the program cannot be started.
  init(
    _ path: String, _ arguments: [String], port: Int, securePort: Int? = nil, log: String
  ) throws(BenchError) {
    self.port = port
    self.securePort = securePort
    self.log = log
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    guard let handle = FileHandle(forWritingAtPath: log) else { throw BenchError("\(log)") }
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ETCD") }
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    do { try process.run() } catch { throw BenchError("\(path): \(error)") }
  }

  deinit { end(SIGKILL) }

  /// Where the load goes.
  var loadURL: String {
    securePort.map { "https://127.0.0.1:\($0)" } ?? "http://127.0.0.1:\(port)"
  }

  func end(_ signal: Int32) {
    guard process.isRunning else { return }
    kill(pid, signal)
    process.waitUntilExit()
  }

  /// Asks until a linearizable read succeeds.
  func waitHealthy(_ loop: EventLoop, seconds: Double = 60) async throws -> Client {
    let deadline = now() + seconds
    while now() < deadline, process.isRunning {
      if let client = try? await Client(port: port, loop: loop) {
        if (try? await client.revision()) != nil { return client }
        client.close()
      }
      usleep(1000)
    }
    let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    throw BenchError("a member did not become healthy; its log ends: \(text.suffix(2000))")
  }
}

/// One or three members of one program, with data directories of their own. With certificates for clients among
/// the flags they listen at a port with TLS, for the load, beside the one without.
final class Cluster {
  let server: Server
  private let scratch: Scratch
  private let extra: [String]
  private let ports: [Int]
  private let isSecure: Bool
  private let peerScheme: String
  private var arguments: [[String]] = []
  private let loop: EventLoop
  private(set) var members: [RunningServer] = []
  private(set) var clients: [Client] = []
  private(set) var leader = 0

  init(
    _ server: Server, members count: Int, _ options: Options, loop: EventLoop,
    extra: [String] = []
  ) throws(BenchError) {
    self.server = server
    self.loop = loop
    self.extra = extra
    scratch = try Scratch(in: options.scratch, keeps: options.keepsData)
    ports = try freePorts(count * 3)
    isSecure = extra.contains("--cert-file")
    peerScheme = extra.contains("--peer-cert-file") ? "https" : "http"
  }

  /// Starts all members, waits until they serve and finds the leader.
  func start() async throws {
    let count = ports.count / 3
    let urls = (0..<count).map { "\(peerScheme)://127.0.0.1:\(ports[$0 * 3 + 1])" }
    let cluster = urls.enumerated().map { "m\($0)=\($1)" }.joined(separator: ",")
    arguments = urls.indices.map { index in
      let client = "http://127.0.0.1:\(ports[index * 3])"
      let listen = isSecure ? client + ",https://127.0.0.1:\(ports[index * 3 + 2])" : client
      let path = scratch.path + "/m\(index)"
      return [
        "--name", "m\(index)", "--data-dir", path, "--listen-client-urls", listen,
        "--advertise-client-urls", client, "--listen-peer-urls", urls[index],
        "--initial-advertise-peer-urls", urls[index], "--initial-cluster", cluster,
      ]
    }
    members = try urls.indices.map { index throws(BenchError) in try launch(index) }
    clients = []
    for member in members { clients.append(try await member.waitHealthy(loop)) }
    for (index, client) in clients.enumerated() where try await client.isLeader() {
      leader = index
    }
  }

  private func launch(_ index: Int) throws(BenchError) -> RunningServer {
    try RunningServer(
      server.path, arguments[index] + extra, port: ports[index * 3],
      securePort: isSecure ? ports[index * 3 + 2] : nil, log: scratch.path + "/m\(index).log")
  }

  /// Ends one member with SIGTERM, keeping its data.
  func stop(member index: Int) {
    clients[index].close()
    members[index].end(SIGTERM)
  }

  /// Starts a member again and returns at once.
  func launchAgain(member index: Int) throws(BenchError) { members[index] = try launch(index) }

  /// A client of a member, as soon as that listens.
  func connect(member index: Int, seconds: Double = 60) async throws -> Client {
    let deadline = now() + seconds
    while now() < deadline {
      if let client = try? await Client(port: members[index].port, loop: loop) { return client }
      usleep(1000)
    }
    throw BenchError("a member does not listen")
  }

  /// Ends all members with SIGTERM, keeping their data.
  func stop() {
    for client in clients { client.close() }
    clients = []
    for member in members { member.end(SIGTERM) }
    members = []
  }

  deinit { stop() }

  func cpuSeconds() throws(BenchError) -> Double {
    var sum = 0.0
    for member in members { sum += try ProcessFacts.cpuSeconds(member.pid) }
    return sum
  }
}

/// Ports that were free a moment ago.
func freePorts(_ count: Int) throws(BenchError) -> [Int] {
  var sockets: [Int32] = []
  defer { for socket in sockets { close(socket) } }
  var ports: [Int] = []
  for _ in 0..<count {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    sockets.append(descriptor)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard isBound else { throw BenchError("no free port: \(String(cString: strerror(errno)))") }
    ports.append(Int(UInt16(bigEndian: address.sin_port)))
  }
  return ports
}
