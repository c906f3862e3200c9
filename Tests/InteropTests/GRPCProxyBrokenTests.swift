import Foundation
import TestSupport
import Testing

/// Members behind `etcd grpc-proxy` that break off in the middle of what they say.
@Suite(.serialized) struct GRPCProxyBrokenTests {
  /// Hands bytes on between the proxy and a member; while a file is there, breaks each connection off once so many of
  /// the member's have passed.
  private static let relay = """
    import os, socket, struct, sys, threading
    own, other, limit, sign = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    listener = socket.create_server(("127.0.0.1", own))
    print("ready", flush=True)
    def broken(ends):
      for end in ends:
        try:
          end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
          end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
        end.close()
    def pass_on(source, target, counts):
      passed = 0
      try:
        while True:
          piece = source.recv(65536)
          if not piece: break
          passed += len(piece)
          target.sendall(piece)
          if counts and passed > limit and os.path.exists(sign):
            print("broken", flush=True)
            break
      except OSError: pass
      broken([source, target])
    while True:
      one, _ = listener.accept()
      two = socket.create_connection(("127.0.0.1", other))
      threading.Thread(target=pass_on, args=(one, two, False), daemon=True).start()
      threading.Thread(target=pass_on, args=(two, one, True), daemon=True).start()
    """

  /// Answers that break off are failures, never parts of answers; who waits for nothing of it is served, and so is all
  /// once the member is whole again.
  @Test func whatBreaksOffIsAFailure() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let port = freePorts(1)[0]
    let sign = cluster.scratch.path + "/sign"
    let relay = try Running(
      "/usr/bin/python3",
      ["-c", Self.relay, "\(port)", "\(cluster.members[0].clientPort)", "400000", sign], [:])
    try relay.wait(for: "ready")
    let (process, address) = try GRPCProxyProcessTests.proxy(
      cluster.scratch, "127.0.0.1:\(port)")
    defer { process.end() }
    func ctl(_ words: String...) -> Finished {
      run(Binaries.ourCtl, ["--endpoints=\(address)", "--command-timeout=3s"] + words)
    }
    let value = String(repeating: "v", count: 100_000)
    for number in 1...8 { #expect(ctl("put", "k\(number)", value).status == 0) }
    // A watch over all that follows.
    let watch = try Running(
      Binaries.ourCtl, ["--endpoints=\(address)", "watch", "small", "--rev=1"], [:])
    let file = cluster.scratch.path + "/saved.db"
    _ = FileManager.default.createFile(atPath: sign, contents: nil)
    for _ in 0..<3 {
      let all = ctl("get", "k", "--prefix")
      #expect(all.status != 0 && all.output.isEmpty && !all.error.isEmpty, "\(all.status)")
      let saved = ctl("snapshot", "save", file)
      #expect(saved.status != 0 && !saved.error.isEmpty, "\(saved)")
      #expect(!FileManager.default.fileExists(atPath: file))
    }
    #expect(relay.output.split(separator: "\n").count >= 4)
    try eventually("small answers pass") { ctl("put", "small", "1").status == 0 }
    try FileManager.default.removeItem(atPath: sign)
    try eventually("large ones, too") {
      ctl("get", "k", "--prefix", "--print-value-only").output
        == String(repeating: value + "\n", count: 8)
    }
    #expect(ctl("snapshot", "save", file).status == 0)
    let status = run(Binaries.ourUtl, ["snapshot", "status", file])
    #expect(status.status == 0, "\(status)")
    #expect(ctl("put", "small", "2").status == 0)
    try watch.wait(for: "PUT\nsmall\n1\nPUT\nsmall\n2\n")
  }
}
