import COpenSSL
import Foundation

/// What the numbers depend on.
struct MachineFacts {
  let lines: [String]
  /// Sorted times in microseconds of writing 4 KiB and making it durable.
  let syncMicroseconds: [Double]
  /// Bytes a second that a file of half a GB takes, with the fdatasync at its end.
  let diskBytesPerSecond: Double
  /// Bytes a second through a TCP connection on this machine.
  let loopbackBytesPerSecond: Double
  /// Bytes a second that one thread hashes with SHA-256, as every snapshot is.
  let hashBytesPerSecond: Double

  var syncMedian: Double { quantile(syncMicroseconds, 0.5) }

  /// - Parameter directory: where the data directories are; its disk is measured.
  init(directory: String) async throws {
    let cpu = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let model = cpu?.split(separator: "\n").first { $0.hasPrefix("model name") }
      .flatMap { $0.split(separator: ":").last }?.trimmingCharacters(in: .whitespaces)
    let memory = Double(ProcessInfo.processInfo.physicalMemory) / Double(1 << 30)
    syncMicroseconds = try Self.syncMicroseconds(directory)
    diskBytesPerSecond = try Self.diskBytesPerSecond(directory)
    loopbackBytesPerSecond = try await Self.loopbackBytesPerSecond()
    hashBytesPerSecond = try Self.hashBytesPerSecond()
    let load = try runProgram("h2load", ["--version"])
    let times = syncMicroseconds
    let sync = [0.5, 0.99].map { fixed(quantile(times, $0), 0) }
    lines = [
      "CPU: \(model ?? "unknown"), \(ProcessInfo.processInfo.processorCount) cores",
      "Memory: \(fixed(memory, 1)) GiB",
      "Kernel: \(try runProgram("uname", ["-srm"]).trimmingCharacters(in: .newlines))",
      "Disk: write of 4 KiB and fdatasync, p50 \(sync[0]) µs, p99 \(sync[1]) µs; "
        + "\(fixed(diskBytesPerSecond / 1e6, 0)) MB/s in sequence",
      "Loopback: \(fixed(loopbackBytesPerSecond / 1e6, 0)) MB/s through one TCP connection",
      "SHA-256: \(fixed(hashBytesPerSecond / 1e6, 0)) MB/s in one thread",
      "Load: \(load.trimmingCharacters(in: .newlines)), one thread, on the same machine",
    ]
  }

  private static func syncMicroseconds(_ directory: String) throws(BenchError) -> [Double] {
    let scratch = try Scratch(in: directory)
    let file = open(scratch.path + "/sync", O_WRONLY | O_CREAT, 0o600)
    guard file >= 0 else { throw BenchError("cannot write to \(directory)") }
    defer { close(file) }
    let block = [UInt8](repeating: 7, count: 4096)
    guard posix_fallocate(file, 0, 4 << 20) == 0, fsync(file) == 0 else {
      throw BenchError("cannot allocate in \(directory)")
    }
    var times: [Double] = []
    for _ in 0..<1000 {
      let begin = now()
      guard write(file, block, block.count) == block.count, fdatasync(file) == 0 else {
        throw BenchError("cannot write to \(directory)")
      }
      times.append((now() - begin) * 1e6)
    }
    return times.sorted()
  }

  private static func diskBytesPerSecond(_ directory: String) throws(BenchError) -> Double {
    let scratch = try Scratch(in: directory)
    let file = open(scratch.path + "/sequence", O_WRONLY | O_CREAT, 0o600)
    guard file >= 0 else { throw BenchError("cannot write to \(directory)") }
    defer { close(file) }
    let block = [UInt8](repeating: 7, count: 1 << 20)
    let count = 512
    let begin = now()
    for _ in 0..<count {
      guard write(file, block, block.count) == block.count else {
        throw BenchError("cannot write to \(directory)")
      }
    }
    guard fdatasync(file) == 0 else { throw BenchError("cannot write to \(directory)") }
    return Double(count * block.count) / (now() - begin)
  }

  private static func hashBytesPerSecond() throws(BenchError) -> Double {
    let block = [UInt8](repeating: 7, count: 32 << 10)
    var digest = [UInt8](repeating: 0, count: 32)
    let count = 16_384
    let begin = now()
    for _ in 0..<count {
      guard EVP_Digest(block, block.count, &digest, nil, EVP_sha256(), nil) == 1 else {
        throw BenchError("OpenSSL refused SHA-256")
      }
    }
    return Double(count * block.count) / (now() - begin)
  }

  private static func loopbackBytesPerSecond() async throws -> Double {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    let isConnected = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 1) == 0
          && getsockname(listener, $0, &size) == 0 && connect(client, $0, size) == 0
      }
    }
    let server = accept(listener, nil, nil)
    guard isConnected, server >= 0 else { throw BenchError("cannot connect to this machine") }
    let total = 1 << 30
    let begin = now()
    async let received: Void = onThread {
      var block = [UInt8](repeating: 0, count: 256 << 10)
      var count = 0
      while count < total {
        let size = recv(client, &block, block.count, 0)
        guard size > 0 else { throw BenchError("read: \(String(cString: strerror(errno)))") }
        count += size
      }
    }
    try await onThread {
      defer { close(server) }
      let block = [UInt8](repeating: 7, count: 256 << 10)
      for _ in 0..<(total / block.count) {
        guard send(server, block, block.count, Int32(MSG_NOSIGNAL)) == block.count
        else { throw BenchError("write: \(String(cString: strerror(errno)))") }
      }
    }
    try await received
    return Double(total) / (now() - begin)
  }
}
