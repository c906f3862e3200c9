import Foundation
import TestSupport
import Testing

/// Guide 001, the last section: files of configuration, and of variables.
@Suite(.serialized) struct Guide001ConfigurationTests {
  private let ports = freePorts(6)
  private let shell: GuideShell

  init() {
    let guides = [12379, 12380, 22379, 22380, 32379, 32380]
    let scratch = Scratch()
    self.scratch = scratch
    shell = GuideShell(
      zip(guides, ports).map { (":\($0)", ":\($1)") }
        + [("/Users/yooome/etcd", scratch.path), ("/etc/etcd", scratch.path)])
  }

  private let scratch: Scratch

  /// The keys that the guide lists, for one of three.
  private func file(_ number: Int) -> String {
    let cluster = (1...3).map { "etcd\($0)=http://127.0.0.1:\(ports[2 * $0 - 1])" }
    let (client, peer) = (2 * number - 2, 2 * number - 1)
    return """
      # 节点名称
      name: etcd\(number)
      # 指定节点的数据存储目录
      data-dir: \(scratch.path)/etcd\(number).data
      # 监听url，用于与其他节点通讯
      listen-peer-urls: http://127.0.0.1:\(ports[peer])
      # 对外提供服务的地址
      listen-client-urls: http://127.0.0.1:\(ports[client])
      initial-advertise-peer-urls: http://127.0.0.1:\(ports[peer])
      initial-cluster: \(cluster.joined(separator: ","))
      initial-cluster-state: new
      initial-cluster-token: token-01
      advertise-client-urls: http://127.0.0.1:\(ports[client])
      """
  }

  @Test func filesStartACluster() throws {
    for number in 1...3 {
      try file(number).write(
        toFile: scratch.path + "/etcd\(number).conf.yml", atomically: true, encoding: .utf8)
      // In the background, where the guide has `&`, the words are written when the shell has gone on.
      _ = try shell.start("etcd --config-file=/Users/yooome/etcd/etcd\(number).conf.yml")
    }
    let list =
      " etcdctl --endpoints http://127.0.0.1:12379,http://127.0.0.1:22379,http://127.0.0.1:32379 member list"
    try shell.servers[2].waitUntil("all are members") {
      shell.run(list).output.components(separatedBy: ", started, etcd").count == 4
    }
  }

  /// `0etcd` is no program, and `- -config-file` no flag.
  @Test func brokenLinesAreRefused() throws {
    let typed = shell.run("0etcd - -config-file /etc/etcd/etcd.conf")
    #expect(typed.status == 127 && typed.error.contains("command not found"), "\(typed)")
    let found = try [Binaries.ours, try #require(Binaries.go35)].map {
      let server = try shell.start("etcd - -config-file /etc/etcd/etcd.conf", program: $0)[0]
      server.process.waitUntilExit()
      #expect(server.process.terminationStatus == 1)
      return server.log.contains("'-' is not a valid flag")
    }
    #expect(found == [true, true])
  }

  /// The guide's file of variables, with its notes inside; `192.168.86.131` is this machine.
  private static let variables = """
    #[Member]
    #1.节点名称，必须唯一
    ETCD_NAME="etcd1"

    #2.设置数据保存的目录
    ETCD_DATA_DIR="/var/lib/etcd"

    #3.用于监听其他etcd member的url
    ETCD_LISTEN_PEER_URLS="http://127.0.0.1:12380"

    #4.该节点对外提供服务的地址
    ETCD_LISTEN_CLIENT_URLS="http://127.0.0.1:12379,http://127.0.0.1:12379"

    #[Clustering]
    #5.对外公告的该节点客户端监听地址
    ETCD_ADVERTISE_CLIENT_URLS="http://192.168.86.131:12379"

    #6.该节点成员对等URL地址，且会通告集群的其余成员节点
    ETCD_INITIAL_ADVERTISE_PEER_URLS="http://192.168.86.131:12380"

    #7.集群中所有节点的信息
    ETCD_INITIAL_CLUSTER="etcd01=http://192.168.86.131:2380,（注意这是第一台虚拟机的地址，是不变的）

    etcd02=http://192.168.86.132:2380"（注意这是第二台虚拟机的地址，是不变的）

    #8.创建集群的token，这个值每个集群保持唯一
    ETCD_INITIAL_CLUSTER_TOKEN="etcd-cluster"

    #9.初始集群状态，新建集群的时候，这个值为new；
    ETCD_INITIAL_CLUSTER_STATE="new"

    #10.flannel操作etcd使用的是v2的API，而kubernetes操作etcd使用的v3的API
    #   为了兼容flannel，将默认开启v2版本，故配置文件中设置
    ETCD_ENABLE_V2="true"
    """

  /// A file of variables is none of YAML, which is said with what to write; sourced as it stands, its list of members has
  /// the notes in it and is refused as by Go's; without them, and with the member's own name and port, it starts.
  @Test func variablesAreNoConfiguration() throws {
    let path = scratch.path + "/etcd.conf"
    try Self.variables.write(toFile: path, atomically: true, encoding: .utf8)
    let refused = run(Binaries.ours, ["--config-file", path])
    #expect(refused.status == 1, "\(refused)")
    #expect(
      refused.error.contains("this is a file of environment variables (ETCD_NAME=…)"), "\(refused)")
    func started(_ text: String, _ program: String) throws -> ServerProcess {
      let local = zip([":12379", ":12380"], ports).reduce(text) {
        $0.replacing($1.0, with: ":\($1.1)")
      }.replacing("192.168.86.131", with: "127.0.0.1").replacing("/var/lib/etcd", with: "data")
      let script = "set -a\n\(local)\nset +a\nexec '\(program)'"
      let folder = scratch.path + "/\(UUID())"
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
      return try ServerProcess(
        ["-c", script], program: "/bin/bash", folder: folder, log: folder + "/log")
    }
    let words = try [Binaries.ours, try #require(Binaries.go35)].map {
      try started(Self.variables, $0).lastWords()
    }
    #expect(words[0] != nil && words[0] == words[1], "\(words)")
    let mended = Self.variables
      .replacing(
        #/ETCD_INITIAL_CLUSTER="[^"]*"[^\n]*/#,
        with: "ETCD_INITIAL_CLUSTER=\"etcd1=http://192.168.86.131:12380\"")
    let server = try started(mended, Binaries.ours)
    try server.waitFor("ready to serve client requests")
    #expect(
      httpGet("http://127.0.0.1:\(ports[0])/v2/keys")?.contains("\"action\":\"get\"") == true)
    server.end()
  }
}
